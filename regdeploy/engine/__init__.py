"""The container engine: images, containers and workloads. Nothing else in regdeploy speaks to Docker.

Read :mod:`~regdeploy.engine.model` and :mod:`~regdeploy.engine.protocol` first: they are all that the rest of
regdeploy knows. :mod:`~regdeploy.engine.workloads` is how one container replaces another, over single verbs that
:mod:`~regdeploy.engine.containers` carries out; :mod:`~regdeploy.engine.connect` finds the engine.
"""
