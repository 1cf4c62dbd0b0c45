"""What a hand-made registry's configuration means to us: configurations as they stand in tutorials."""

from __future__ import annotations

import pytest

from regdeploy.registry.carried import Carried, Left, carried, merged
from regdeploy.registry.images import Generation
from regdeploy.secret import Secret
from tests.library import IMAGE_2, IMAGE_3

V2, V3 = Generation.V2, Generation.V3


def of(text: str, generation: Generation = V3, **environment: str) -> Carried:
    return carried(merged(text, environment), generation)


@pytest.mark.parametrize("image", [IMAGE_2, IMAGE_3])
@pytest.mark.parametrize("generation", Generation)
def test_a_registry_as_the_image_brings_it_leaves_nothing_behind(image: str, generation: Generation) -> None:
    assert of(image, generation) == Carried()


def test_docker_docs_tls_and_htpasswd_are_paths_in_the_container() -> None:
    found = of(
        IMAGE_2,
        REGISTRY_AUTH="htpasswd",
        REGISTRY_AUTH_HTPASSWD_REALM="Registry Realm",
        REGISTRY_AUTH_HTPASSWD_PATH="/auth/htpasswd",
        REGISTRY_HTTP_ADDR="0.0.0.0:443",
        REGISTRY_HTTP_TLS_CERTIFICATE="/certs/domain.crt",
        REGISTRY_HTTP_TLS_KEY="/certs/domain.key",
        REGISTRY_HTTP_SECRET="hunter2",
    )
    pair = ("/certs/domain.crt", "/certs/domain.key")
    assert found == Carried(htpasswd="/auth/htpasswd", tls=pair, http_secret=Secret("hunter2"), port=443)
    assert "hunter2" not in repr(found)


@pytest.mark.parametrize(
    ("address", "port"), [(":5000", 5000), ("localhost:81", 81), ("'[::]:443'", 443), ("''", 0), ("x", 0)]
)
def test_the_port_is_that_of_the_address(address: str, port: int) -> None:
    assert of(IMAGE_2, REGISTRY_HTTP_ADDR=address).port == port
    assert of(IMAGE_2, REGISTRY_HTTP_NET="unix").port == 0


def test_s3_goes_on_with_all_its_parameters() -> None:
    text = """
        version: 0.1
        storage:
          s3:
            accesskey: AKIAIOSFODNN7EXAMPLE
            secretkey: "0123"
            region: us-west-1
            bucket: images
            secure: y
            chunksize: 5242880
            rootdirectory: /prefix
          cache: {blobdescriptor: redis}
          delete: {enabled: true}
          redirect: {disable: true}
        http: {addr: ":5000"}
        redis: {addr: "redis:6379", password: hunter2, pool: {maxidle: 16, maxactive: 64, idletimeout: 300s}}
    """
    found = of(text)
    assert (found.driver, found.rootdirectory, found.left) == ("s3", "", ())
    assert found.variables == {
        "REGISTRY_REDIS": '{"password": hunter2, "addrs": ["redis:6379"], "maxidleconns": 16, "poolsize": 64, '
        '"connmaxidletime": 300s}',
        "REGISTRY_STORAGE_CACHE_BLOBDESCRIPTOR": "redis",
        "REGISTRY_STORAGE_REDIRECT_DISABLE": "true",
        "REGISTRY_STORAGE_S3_ACCESSKEY": "AKIAIOSFODNN7EXAMPLE",
        "REGISTRY_STORAGE_S3_BUCKET": "images",
        "REGISTRY_STORAGE_S3_CHUNKSIZE": "5242880",
        "REGISTRY_STORAGE_S3_REGION": "us-west-1",
        "REGISTRY_STORAGE_S3_ROOTDIRECTORY": "/prefix",
        "REGISTRY_STORAGE_S3_SECRETKEY": '"0123"',
        "REGISTRY_STORAGE_S3_SECURE": "y",
    }
    assert found.secret == {"REGISTRY_REDIS", "REGISTRY_STORAGE_S3_ACCESSKEY", "REGISTRY_STORAGE_S3_SECRETKEY"}
    assert "hunter2" not in repr(found)
    assert '"addr": "redis:6379"' in of(text, V2).variables["REGISTRY_REDIS"]


def test_a_driver_chosen_by_variables_alone_takes_the_place_of_the_images() -> None:
    found = of(IMAGE_2, REGISTRY_STORAGE="s3", REGISTRY_STORAGE_S3_BUCKET="b", REGISTRY_STORAGE_S3_REGION="r")
    assert found == Carried(
        driver="s3",
        rootdirectory="",
        variables={"REGISTRY_STORAGE_S3_BUCKET": "b", "REGISTRY_STORAGE_S3_REGION": "r"},
    )


def test_google_and_azure_keep_what_no_name_of_a_variable_can_hold() -> None:
    found = of("storage: {gcs: {bucket: b, keyfile: /key.json}}")
    assert found.variables == {"REGISTRY_STORAGE_GCS_BUCKET": "b", "REGISTRY_STORAGE_GCS_KEYFILE": "/key.json"}
    assert found.files == {"REGISTRY_STORAGE_GCS_KEYFILE": "/key.json"}
    found = of("storage: {gcs: {bucket: b, credentials: {private_key: x}}}")
    assert found.variables["REGISTRY_STORAGE_GCS_CREDENTIALS"] == '{"private_key": x}'
    found = of("storage: {azure: {container: c, max_retries: 10}}")
    assert found.variables == {"REGISTRY_STORAGE_AZURE": '{"container": c, "max_retries": 10}'}
    assert found.secret == {"REGISTRY_STORAGE_AZURE"}


@pytest.mark.parametrize("driver", ["oss", "swift"])
def test_a_driver_that_3_lost_is_told_and_2_goes_on_with_it(driver: str) -> None:
    text = f"storage: {{{driver}: {{password: hunter2}}}}"
    found = of(text, V3)
    assert (found.driver, found.variables) == (driver, {})
    assert [(left.item, left.value) for left in found.left] == [(f"storage.{driver}", "")]
    assert of(text, V2).variables == {f"REGISTRY_STORAGE_{driver.upper()}_PASSWORD": "hunter2"}
    assert of(text, V2).left == ()


def test_a_mirror_of_docker_hub_goes_on() -> None:
    found = of(
        IMAGE_2,
        REGISTRY_PROXY_REMOTEURL="https://registry-1.docker.io",
        REGISTRY_PROXY_USERNAME="me",
        REGISTRY_PROXY_PASSWORD="hunter2",
    )
    assert found.variables == {
        "REGISTRY_PROXY_PASSWORD": "hunter2",
        "REGISTRY_PROXY_REMOTEURL": "https://registry-1.docker.io",
        "REGISTRY_PROXY_USERNAME": "me",
    }
    assert found.secret == {"REGISTRY_PROXY_PASSWORD"}


def test_what_regdeploy_has_no_opinion_on_goes_on() -> None:
    text = """
        log: {level: warn, formatter: json, accesslog: {disabled: true}, fields: {site: x}}
        storage:
          filesystem: {rootdirectory: /data, maxthreads: 100}
          maintenance: {readonly: {enabled: true}, uploadpurging: {enabled: false}}
        http:
          relativeurls: true
          http2: {disabled: true}
          tls: {minimumtls: tls1.3}
          headers: {Access-Control-Allow-Origin: ['*']}
        notifications: {endpoints: [{name: a, url: "https://x/e", headers: {Authorization: [Bearer hunter2]}}]}
        health: {tcp: [{addr: "redis:6379"}]}
        middleware: {storage: [{name: redirect, options: {baseurl: "https://cdn/"}}]}
        validation: {manifests: {urls: {allow: ['^https://x/']}}}
        catalog: {maxentries: 50}
        policy: {repository: {classes: [image]}}
    """
    found = of(text)
    assert found.rootdirectory == "/data"
    assert found.variables == {
        "REGISTRY_CATALOG": '{"maxentries": 50}',
        "REGISTRY_HEALTH": '{"tcp": [{"addr": "redis:6379"}], '
        '"storagedriver": {"enabled": true, "interval": "10s", "threshold": 3}}',
        "REGISTRY_HTTP_HEADERS": '{"Access-Control-Allow-Origin": ["*"], "X-Content-Type-Options": ["nosniff"]}',
        "REGISTRY_HTTP_HTTP2": '{"disabled": true}',
        "REGISTRY_HTTP_RELATIVEURLS": "true",
        "REGISTRY_HTTP_TLS_MINIMUMTLS": "tls1.3",
        "REGISTRY_LOG_ACCESSLOG": '{"disabled": true}',
        "REGISTRY_LOG_FIELDS": '{"site": x}',
        "REGISTRY_LOG_FORMATTER": "json",
        "REGISTRY_LOG_LEVEL": "warn",
        "REGISTRY_MIDDLEWARE": '{"storage": [{"name": redirect, "options": {"baseurl": "https://cdn/"}}]}',
        "REGISTRY_NOTIFICATIONS": '{"endpoints": [{"name": a, "url": "https://x/e", '
        '"headers": {"Authorization": ["Bearer hunter2"]}}]}',
        "REGISTRY_POLICY": '{"repository": {"classes": [image]}}',
        "REGISTRY_STORAGE_FILESYSTEM_MAXTHREADS": "100",
        "REGISTRY_STORAGE_MAINTENANCE_READONLY": '{"enabled": true}',
        "REGISTRY_STORAGE_MAINTENANCE_UPLOADPURGING": '{"enabled": false}',
        "REGISTRY_VALIDATION": '{"manifests": {"urls": {"allow": ["^https://x/"]}}}',
    }
    assert found.left == ()


def test_the_old_name_of_the_level_counts_where_the_new_one_says_nothing() -> None:
    assert of("loglevel: warn").variables == {"REGISTRY_LOG_LEVEL": "warn"}
    assert of("loglevel: warn\nlog: {level: error}").variables == {"REGISTRY_LOG_LEVEL": "error"}
    assert of("log: {level: debug}").variables == {"REGISTRY_LOG_LEVEL": "debug"}  # nobody's but a person's


def test_what_regdeploy_decides_is_told_with_why() -> None:
    text = """
        version: 0.1
        storage:
          filesystem: {rootdirectory: /var/lib/registry}
          delete: {enabled: false}
          cache: {blobdescriptor: inmemory, blobdescriptorsize: 9}
        auth: {htpasswd: {realm: mine, path: /a}}
        http:
          net: unix
          host: http://old:5000
          prefix: /x/
          draintimeout: 60s
          debug: {addr: localhost:5001}
          tls: {clientcas: [/ca.pem], minimumtls: tls1.0, ciphersuites: [A], letsencrypt: {email: a@b}}
        health: {file: [{file: /tmp/down}]}
        middleware: {storage: [{name: cloudfront, options: {privatekey: /pk, keypairid: k}}]}
        redis: {addrs: [a], tls: {certificate: /c}}
        proxy: {exec: {command: helper}}
        nonsense: {password: hunter2}
    """
    inside = "it names a file of the old container, which is not in regdeploy's"
    login = "regdeploy's registry asks for a name and password"
    assert set(of(text).left) == {
        Left("auth.htpasswd.realm", "mine", "regdeploy's is Registry; nothing depends on it"),
        Left("http.tls.minimumtls", "tls1.0", "regdeploy's registry speaks TLS 1.2 at least"),
        Left(
            "storage.cache",
            '{"blobdescriptor": inmemory, "blobdescriptorsize": 9}',
            "after a garbage collection a cache in memory gives broken images",
        ),
        Left("http.net", "unix", "regdeploy's registry listens on TCP"),
        Left(
            "http.host",
            "http://old:5000",
            "clients would be sent to the old address; the registry answers by the name that it is asked by",
        ),
        Left("http.prefix", "/x/", "Docker's clients know no path before /v2/"),
        Left("http.draintimeout", "60s", "regdeploy gives a stopping registry 30 seconds, and its container longer"),
        Left("http.debug", '{"addr": "localhost:5001"}', "the port has no login"),
        Left("http.tls.clientcas", '["/ca.pem"]', f"{inside}, and clients are not asked for certificates; {login}"),
        Left("http.tls.ciphersuites", "[A]", "regdeploy leaves the choice to Go"),
        Left("http.tls.letsencrypt", '{"email": "a@b"}', "regdeploy gets and renews the certificate"),
        Left("storage.delete", '{"enabled": false}', "`regdeploy rm` needs to delete; who may push may delete"),
        Left("health.file", "***", inside),
        Left("middleware.storage", "cloudfront", inside),
        Left("redis", "", f"{inside} (redis.tls), and it goes on without that cache"),
        Left("proxy.exec", '{"command": helper}', "it names a program of the old container"),
        Left("nonsense", "", "is no setting of a registry"),
    }
    assert of(text).variables == {}


def test_a_cache_behind_certificates_of_its_own_is_done_without() -> None:
    text = "storage: {s3: {bucket: b}, cache: {blobdescriptor: redis}}\nredis: {addrs: [a], tls: {certificate: /c}}"
    assert of(text).variables == {"REGISTRY_STORAGE_S3_BUCKET": "b"}
    assert [left.item for left in of(text).left] == ["redis"]


def test_a_setting_that_is_as_regdeploy_has_it_is_not_mentioned() -> None:
    text = (
        "http: {tls: {minimumtls: tls1.2}, draintimeout: 30s}\nstorage: {delete: {enabled: True}}\nlog: {level: info}"
    )
    assert of(text) == Carried(port=0)


@pytest.mark.parametrize(
    ("auth", "why"),
    [
        ("token: {realm: r, service: s, issuer: me, rootcertbundle: /b}", "who had a token of me was let in"),
        ("silly: {realm: r}", "it let everybody in who sent any Authorization at all"),
        ("ldap: {}", "the registry's image brings no such access"),
    ],
)
def test_access_that_does_not_go_on_is_said_as_it_was(auth: str, why: str) -> None:
    found = of(f"auth: {{{auth}}}")
    kind = auth.partition(":")[0]
    assert found.left == (Left(f"auth.{kind}", "", f"{why}; regdeploy's registry asks for a name and password"),)
    assert (found.htpasswd, found.variables) == ("", {})


def test_what_the_generation_to_be_does_not_have_is_told() -> None:
    text = "compatibility: {schema1: {enabled: true}}\nproxy: {remoteurl: x, ttl: 9h}"
    assert [left.item for left in of(text, V3).left] == ["compatibility.schema1"]
    assert [left.item for left in of(text, V2).left] == ["proxy.ttl"]
    assert of(text, V2).variables == {
        "REGISTRY_COMPATIBILITY": '{"schema1": {"enabled": true}}',
        "REGISTRY_PROXY_REMOTEURL": "x",
    }


def test_the_configuration_itself_is_left_as_it_was() -> None:
    found = merged(IMAGE_3, {"REGISTRY_HTTP_HEADERS_X-ONE": "[a]"})
    before = repr(found)
    carried(found)
    assert repr(found) == before


def test_nothing_odd_in_it_makes_it_fall() -> None:
    text = "log: x\nstorage: {cache: x, tag: 1}\nhttp: [a]\nauth: []\nmiddleware: {storage: x}\nredis: y\nhealth: 3"
    assert carried(merged(text, {})).port == 0
