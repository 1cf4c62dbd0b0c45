from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from regdeploy.deployment.authorities import LETS_ENCRYPT, LETS_ENCRYPT_STAGING
from regdeploy.deployment.settings import BY_NAME, SETTINGS, Tls
from regdeploy.deployment.spec import Resolved, Spec, environment_layer, flag_layer, resolve, toml_layer
from tests.unit.said import said

NAME = {"domain": ["registry.example.com"]}


def flags(**values: object) -> Resolved:
    return resolve([flag_layer({name.replace("_", "-"): value for name, value in values.items()})])


def refused(**values: object) -> str:
    return said(lambda: flags(**values))


def from_file(text: str) -> Callable[[], Resolved]:
    return lambda: resolve([toml_layer(text, "file", "regdeploy.toml")])


def test_with_nothing_given_it_is_the_local_registry() -> None:
    spec, sources = resolve([])
    assert spec == Spec(
        name="registry",
        root=Path("/var/lib/registry"),
        domains=(),
        former_domains=(),
        email="",
        tls=Tls.OFF,
        cert=None,
        key=None,
        acme_directory=LETS_ENCRYPT,
        acme_fallback=(),
        acme_ca_bundle=None,
        challenge="auto",
        http_01_port=80,
        http_01_webroot=None,
        tls_alpn_01_port=443,
        dns_provider="",
        dns_server="",
        dns_key_file=None,
        dns_hook=None,
        dns_timeout=120,
        key_type="ecdsa-p256",
        reuse_key=False,
        preferred_chain="",
        profile="",
        eab_kid="",
        eab_hmac_key_file=None,
        image="registry:3",
        image_archive=None,
        port=5000,
        localhost_port=0,
        bind="127.0.0.1",
        user="admin",
        auth=False,
        hook_before=None,
        hook_deploy=None,
        hook_after=None,
        notify_webhook="",
        notify_webhook_secret_file=None,
        notify_mail="",
        notify_mail_password_file=None,
        timer=True,
        selinux_relabel=False,
        timeout=60,
    )
    assert set(sources.values()) == {"default"}
    assert (spec.domain, spec.url) == ("", "http://127.0.0.1:5000")


def test_with_a_domain_it_is_https_on_443_with_a_login_from_lets_encrypt() -> None:
    spec, sources = flags(**NAME)
    assert (spec.domain, spec.tls, spec.port, spec.bind, spec.auth, spec.user) == (
        "registry.example.com",
        Tls.ACME,
        443,
        "",
        True,
        "admin",
    )
    assert {name for name, source in sources.items() if source != "default"} == {"domain"}
    assert spec.url == "https://registry.example.com"


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ({"domain": ["r.example.com"], "port": 8443}, "https://r.example.com:8443"),
        ({"domain": ["2001:db8::1"], "tls": "internal"}, "https://[2001:db8::1]"),
        ({"domain": ["2001:db8::1"], "tls": "internal", "port": "8443"}, "https://[2001:db8::1]:8443"),
        ({"bind": "::1"}, "http://[::1]:5000"),
        ({"port": 443}, "http://127.0.0.1:443"),
    ],
)
def test_where_it_is_reached(given: Mapping[str, object], url: str) -> None:
    assert flags(**given).spec.url == url


def test_a_pair_of_the_users_own_is_the_source_without_saying_so() -> None:
    assert flags(**NAME, cert="/c", key="/k").spec.tls is Tls.FILES


@pytest.mark.parametrize(
    ("name", "value", "parsed"),
    [
        ("domain", "a.example.com, b.example.com,", ("a.example.com", "b.example.com")),
        ("domain", ["a.example.com", "A.example.com."], ("a.example.com",)),
        ("domain", "", ()),
        ("email", " ops@registry.example.com ", "ops@registry.example.com"),
        ("email", "", ""),
        ("acme-directory", "letsencrypt", LETS_ENCRYPT),
        ("acme-directory", "letsencrypt-staging", LETS_ENCRYPT_STAGING),
        ("acme-directory", "https://ca.lan:14000/dir", "https://ca.lan:14000/dir"),
        ("port", " 8443 ", 8443),
        ("port", 1, 1),
        ("port", 65535, 65535),
        ("bind", "[::1]", "::1"),
        ("bind", "0:0:0:0:0:0:0:1", "::1"),
        ("bind", "0.0.0.0", "0.0.0.0"),
        ("bind", "", ""),
        ("auth", "ON", True),
        ("auth", "no", False),
        ("auth", 0, False),
        ("auth", True, True),
        ("cert", "", None),
        ("cert", Path("/etc/a b.pem"), Path("/etc/a b.pem")),
        ("root", "/srv/registry/", Path("/srv/registry")),
        ("name", "r2", "r2"),
        ("user", "张伟", "张伟"),
        (
            "image",
            "registry.example.com:5000/mirror/registry@sha256:0a",
            "registry.example.com:5000/mirror/registry@sha256:0a",
        ),
    ],
)
def test_a_value_is_read_as_it_is_meant(name: str, value: object, parsed: object) -> None:
    assert BY_NAME[name].parse(value, f"--{name}") == parsed


def test_a_path_is_made_absolute_from_where_the_user_stands_and_from_their_home() -> None:
    assert flags(root="registry").spec.root == Path.cwd() / "registry"
    assert flags(root="~/registry").spec.root == Path.home() / "registry"


PORT = "is not a whole number from 1 to 65535"


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"domain": [""]}, "--domain: is empty\nhint: give the name clients will use, such as registry.example.com"),
        ({"port": "0"}, f"--port: '0' {PORT}"),
        (
            {"domain": ["r.example.com"], "localhost_port": 443},
            "--localhost-port: 443 is the registry's own port, which localhost has already\nhint: leave it out",
        ),
        ({"port": "65536"}, f"--port: '65536' {PORT}"),
        ({"port": "https"}, f"--port: 'https' {PORT}"),
        ({"port": ""}, f"--port: '' {PORT}"),
        ({"http_01_port": "-80"}, f"--http-01-port: '-80' {PORT}"),
        ({"timeout": "3601"}, "--timeout: '3601' is not a whole number from 1 to 3600"),
        (
            {"email": "ops"},
            "--email: 'ops' is not an e-mail address\nhint: write one address such as ops@example.com",
        ),
        (
            {"email": "a@example.com, b@example.com"},
            (
                "--email: 'a@example.com, b@example.com' is not an e-mail address\n"
                "hint: write one address such as ops@example.com"
            ),
        ),
        (
            {"email": "ops@example..com"},
            "--email: 'ops@example..com' is not an e-mail address\nhint: write one address such as ops@example.com",
        ),
        (
            {"email": "Ops <ops@example.com>"},
            (
                "--email: 'Ops <ops@example.com>' is not an e-mail address\n"
                "hint: write one address such as ops@example.com"
            ),
        ),
        ({"tls": "acm"}, "--tls: 'acm' is not known\nhint: did you mean 'acme'?"),
        ({"tls": "caddy"}, "--tls: 'caddy' is not known\nhint: one of: acme, files, internal, off"),
        (
            {"challenge": "smoke"},
            ("--challenge: 'smoke' is not known\nhint: one of: auto, http-01, tls-alpn-01, dns-01, dns-persist-01"),
        ),
        (
            {"acme_directory": "http://ca.lan/dir"},
            (
                "--acme-directory: 'http://ca.lan/dir' is not an https:// address\n"
                "hint: give the CA's directory URL or 'letsencrypt'"
            ),
        ),
        ({"bind": "eth0"}, "--bind: 'eth0' is not an IP address\nhint: leave it out to listen on all addresses"),
        ({"name": "my registry"}, "--name: 'my registry' is not a container name"),
        ({"name": "r"}, "--name: 'r' is not a container name"),
        ({"image": "registry 3"}, "--image: 'registry 3' is not an image reference"),
        ({"image": ""}, "--image: '' is not an image reference"),
        ({"user": "a:b"}, "--user: 'a:b' has a colon, which ends a name in HTTP logins\nhint: leave it out"),
        (
            {"user": "#ops"},
            "--user: '#ops' starts with #, which makes it a comment in htpasswd\nhint: start with a letter",
        ),
        ({"user": ""}, "--user: is empty\nhint: give a name such as admin"),
        ({"root": "/"}, "--root: '/' cannot be the root folder\nhint: use a folder such as /var/lib/registry"),
        ({"root": ""}, "--root: '' cannot be the root folder\nhint: use a folder such as /var/lib/registry"),
        (
            {"cert": "/srv/ /"},  # normal, it would be "/srv/ ", which the saved file gives back as "/srv"
            "--cert: '/srv/ ' ends with a blank\nhint: give the file or folder another name",
        ),
        (
            {"root": "/srv /registry/.."},
            "--root: '/srv ' ends with a blank\nhint: give the file or folder another name",
        ),
        ({"cert": "/a\0b"}, "--cert: a path cannot have a NUL character"),
        (
            {"cert": "~nobody-of-that-name/c.pem"},
            "--cert: '~nobody-of-that-name/c.pem' begins with a user who is not known here\nhint: write the whole path",
        ),
        ({"cert": Path("/etc/\udcff.pem")}, "--cert: '/etc/\\udcff.pem' is not UTF-8\nhint: write it in UTF-8"),
        (
            {"dns_server": "ns1.example.com"},
            (
                "--dns-server: 'ns1.example.com' is not the address of a server\n"
                "hint: write 192.0.2.1, 192.0.2.1:53 or [2001:db8::1]:53"
            ),
        ),
        ({"profile": "\udcff"}, "--profile: '\\udcff' is not UTF-8\nhint: write it in UTF-8"),
    ],
)
def test_a_bad_value_is_refused_with_the_value_and_what_to_do(given: Mapping[str, object], error: str) -> None:
    assert refused(**given) == error


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (
            {"domain": ["203.0.113.7"]},
            (
                "--domain: '203.0.113.7' is an IP address, which Let's Encrypt takes with one profile only\n"
                "hint: add --profile shortlived"
            ),
        ),
        (
            {"domain": ["registry.example.com", "*.example.com"]},
            (
                "--domain: '*.example.com' is a wildcard, which only a DNS record proves\n"
                "hint: add --dns-provider NAME, name each host with a --domain of its own, or use --tls files"
            ),
        ),
        (
            {"domain": ["203.0.113.7"], "profile": "shortlived", "dns_provider": "hetzner"},
            ("--domain: '203.0.113.7' is an IP address, which dns-01 cannot prove\nhint: leave the DNS provider out"),
        ),
        (
            {"domain": ["203.0.113.7"], "profile": "shortlived", "challenge": "dns-persist-01"},
            (
                "--domain: '203.0.113.7' is an IP address, which dns-persist-01 cannot prove\n"
                "hint: choose http-01 or tls-alpn-01 with --challenge"
            ),
        ),
        (
            {**NAME, "challenge": "dns-01"},
            (
                "--challenge: 'dns-01' needs somebody who writes DNS records\n"
                "hint: add --dns-provider rfc2136, hook or NAME"
            ),
        ),
        (
            {**NAME, "dns_provider": "hook"},
            "--dns-provider: 'hook' needs a program\nhint: add --dns-hook FILE",
        ),
        (
            {"domain": ["*.example.com"], "tls": "internal"},
            (
                "--domain: '*.example.com' cannot come first: clients need one exact name\n"
                "hint: write --domain registry.example.com --domain '*.example.com'"
            ),
        ),
        (
            {"domain": ["registry.lan"]},
            (
                "--domain: 'registry.lan' ends in .lan, which is not a public domain: no public CA issues for it\n"
                "hint: use --tls internal"
            ),
        ),
        (
            {"domain": ["registry.example.com", "registry.corp.internal"]},
            (
                "--domain: 'registry.corp.internal' ends in .internal, which is not a public domain: "
                "no public CA issues for it\nhint: use --tls internal"
            ),
        ),
        (
            {"domain": ["registry"]},
            "--domain: 'registry' is a single label: no public CA issues for it\nhint: use --tls internal",
        ),
        ({"tls": "internal"}, "--tls: 'internal' needs a name\nhint: add --domain registry.example.com"),
        ({"tls": "acme"}, "--tls: 'acme' needs a name\nhint: add --domain registry.example.com"),
        ({**NAME, "cert": "/c"}, "--key: is missing\nhint: --tls files takes --cert FILE and --key FILE"),
        ({**NAME, "key": "/k"}, "--cert: is missing\nhint: --tls files takes --cert FILE and --key FILE"),
        ({**NAME, "tls": "files"}, "--cert: is missing\nhint: --tls files takes --cert FILE and --key FILE"),
        (
            {**NAME, "tls": "off"},
            "--tls: 'off' serves this host only and takes no --domain\nhint: leave one of the two out",
        ),
        (
            {"bind": "0.0.0.0"},
            (
                "--bind: '0.0.0.0' without TLS would send passwords and images in the clear\n"
                "hint: add --domain NAME for HTTPS, or leave --bind out to serve this host only"
            ),
        ),
        (
            {"bind": ""},
            (
                "--bind: 'all addresses' without TLS would send passwords and images in the clear\n"
                "hint: add --domain NAME for HTTPS, or leave --bind out to serve this host only"
            ),
        ),
        (
            {**NAME, "eab_kid": "kid-1"},
            "--eab-kid: and --eab-hmac-key-file go together\nhint: the CA gives you both",
        ),
        (
            {**NAME, "eab_hmac_key_file": "/k"},
            "--eab-kid: and --eab-hmac-key-file go together\nhint: the CA gives you both",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(given: Mapping[str, object], error: str) -> None:
    assert refused(**given) == error


@pytest.mark.parametrize(
    "given",
    [
        {"domain": ["registry.lan"], "tls": "internal"},
        {"domain": ["registry"], "tls": "internal"},
        {"domain": ["10.0.0.7"], "tls": "internal"},
        {"domain": ["registry.example.com", "*.example.com"], "tls": "files", "cert": "/c", "key": "/k"},
        {"domain": ["registry.lan"], "acme_directory": "https://ca.lan/dir"},
        {"domain": ["registry.example.com", "*.example.com"], "challenge": "dns-persist-01"},
        {"domain": ["registry.lan"], "acme_directory": "letsencrypt", "acme_ca_bundle": "/ca.pem"},
        {**NAME, "eab_kid": "kid-1", "eab_hmac_key_file": "/k"},
        {"bind": "::1", "auth": True},
    ],
)
def test_what_only_a_public_ca_could_not_do_is_accepted_elsewhere(given: Mapping[str, object]) -> None:
    assert flags(**given).spec


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("prot = 8443\n", "regdeploy.toml: prot: is not a known key\nhint: did you mean 'port'?"),
        (
            "acme_directory = 'x'\n",
            "regdeploy.toml: acme_directory: is not a known key\nhint: did you mean 'acme-directory'?",
        ),
        (
            "[storage.s3]\n",
            "regdeploy.toml: storage: is not a known key\nhint: regdeploy init --stdout lists all keys",
        ),
        (
            "port = \n",
            "regdeploy.toml: is not valid TOML: Invalid value (at line 1, column 8)\nhint: mend that line",
        ),
        (
            "tls = 'acme'\nport = 1\nport = 2\n",
            "regdeploy.toml: is not valid TOML: Cannot overwrite a value (at line 3, column 9)\nhint: mend that line",
        ),
        ('port = "x"\n', f"regdeploy.toml: port: 'x' {PORT}"),
        ("port = 443.0\n", f"regdeploy.toml: port: 443.0 {PORT}"),
        ("port = true\n", f"regdeploy.toml: port: True {PORT}"),
        ("port = [443]\n", f"regdeploy.toml: port: [443] {PORT}"),
        ("domain = 5\n", 'regdeploy.toml: domain: 5 is not a list of names\nhint: write ["registry.example.com"]'),
        ("domain = [5]\n", 'regdeploy.toml: domain: [5] is not a list of names\nhint: write ["registry.example.com"]'),
        ('auth = "maybe"\n', "regdeploy.toml: auth: 'maybe' is neither true nor false"),
        ("auth = []\n", "regdeploy.toml: auth: [] is neither true nor false"),
        ("email = 5\n", "regdeploy.toml: email: 5 is not text\nhint: put it in quotes"),
        ("cert = 5\n", "regdeploy.toml: cert: 5 is not text\nhint: put it in quotes"),
        ("tls = false\n", "regdeploy.toml: tls: False is not text\nhint: put it in quotes"),
        (
            "domain = ['registry.lan']\n",
            (
                "regdeploy.toml: domain: 'registry.lan' ends in .lan, which is not a public domain: "
                "no public CA issues for it\nhint: use --tls internal"
            ),
        ),
    ],
)
def test_a_bad_line_of_a_file_is_refused_with_file_and_key(text: str, error: str) -> None:
    assert said(from_file(text)) == error


def test_a_broken_saved_spec_can_also_be_given_up() -> None:
    assert said(lambda: toml_layer("port =\n", "saved", "/r/regdeploy.toml")) == (
        "/r/regdeploy.toml: is not valid TOML: Invalid value (at line 1, column 7)\n"
        "hint: mend that line, or move the file away and give the flags again"
    )


GIVEN: Mapping[str, tuple[str, str]] = {
    "name": ("first", "second"),
    "root": ("/srv/first", "/srv/second"),
    "email": ("first@example.com", "second@example.com"),
    "port": ("1001", "1002"),
    "user": ("first", "second"),
    "auth": ("true", "false"),
    "tls": ("internal", "acme"),
    "timeout": ("11", "12"),
}


@pytest.mark.parametrize("name", GIVEN)
def test_flags_are_stronger_than_the_environment_than_the_file_than_what_was_saved(name: str) -> None:
    strong, weak = GIVEN[name]
    layers = {
        "flag": lambda value: flag_layer({name: value}),
        "environment": lambda value: environment_layer({BY_NAME[name].variable: value}),
        "file": lambda value: toml_layer(f'{name} = "{value}"', "file", "f"),
        "saved": lambda value: toml_layer(f'{name} = "{value}"', "saved", "s"),
    }
    order = list(layers)
    rest = flag_layer({"domain": ["registry.example.com"]})
    for at, source in enumerate(order):
        stack = [layers[source](strong), *(layers[weaker](weak) for weaker in order[at + 1 :]), rest]
        spec, sources = resolve(stack)
        assert sources[name] == source
        assert getattr(spec, BY_NAME[name].field) == BY_NAME[name].parse(strong, "")


def test_a_value_that_a_stronger_one_covers_is_not_even_read() -> None:
    assert resolve([flag_layer({"port": "1"}), environment_layer({"REGDEPLOY_PORT": "none"})]).spec.port == 1


@pytest.mark.parametrize(
    ("layer", "where"),
    [
        (flag_layer({"port": "x"}), "--port"),
        (flag_layer({"selinux-relabel": False, "port": "x"}), "--port"),
        (environment_layer({"REGDEPLOY_PORT": "x"}), "REGDEPLOY_PORT"),
        (toml_layer("port = 'x'", "file", "/f.toml"), "/f.toml: port"),
        (toml_layer("port = 'x'", "saved", "/r/regdeploy.toml"), "/r/regdeploy.toml: port"),
    ],
)
def test_an_error_names_the_place_where_the_value_was_given(layer: Any, where: str) -> None:
    assert said(lambda: resolve([layer])) == f"{where}: 'x' {PORT}"


@pytest.mark.parametrize("text", [",", " , ", ",,"])
@pytest.mark.parametrize("where", ["REGDEPLOY_DOMAIN", "/f.toml: domain"])
def test_commas_alone_are_no_names_and_not_the_local_registry(text: str, where: str) -> None:
    layer = environment_layer({where: text}) if where.isupper() else toml_layer(f'domain = "{text}"', "file", "/f.toml")

    words = "names nothing\nhint: leave it out for the local registry, or write a name"
    assert said(lambda: resolve([layer])) == f"{where}: {text!r} {words}"


def test_a_domain_of_blanks_is_no_name_either() -> None:
    assert said(lambda: resolve([environment_layer({"REGDEPLOY_DOMAIN": " "})])).startswith(
        "REGDEPLOY_DOMAIN: is empty"
    )
    assert resolve([toml_layer('domain = ""', "file", "f")]).spec.domains == ()


def test_only_what_was_given_is_a_layer() -> None:
    assert flag_layer({"port": None, "domain": [], "auth": False, "user": ""}) == {
        "auth": (False, "flag", "--no-auth"),
        "user": ("", "flag", "--user"),
    }
    assert environment_layer({"REGDEPLOY_PORT": "", "REGDEPLOY_AUTH": "no", "PATH": "/bin"}) == {
        "auth": ("no", "environment", "REGDEPLOY_AUTH")
    }


def test_every_setting_is_a_field_and_has_names_of_one_kind() -> None:
    assert [setting.field for setting in SETTINGS] == list(Spec.__dataclass_fields__)
    assert [setting.variable for setting in SETTINGS if "-" in setting.variable] == []
    assert len({setting.variable for setting in SETTINGS}) == len(SETTINGS)
    assert BY_NAME["http-01-port"].variable == "REGDEPLOY_HTTP_01_PORT"
