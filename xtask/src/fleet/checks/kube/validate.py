"""Holds every document of the given YAML files against the schema of its kind, unknown fields refused.

Kinds of Kubernetes itself are checked by kubernetes-validate. Those of the Prometheus operator and of Flux are checked against
the schemas of generated models; these take long to import, so their JSON Schemas are kept in the folder named first.
"""

import importlib
import json
import os
import sys

import jsonschema
import kubernetes_validate
import yaml

VERSION = "1.30"
OPERATOR = "cloudcoil.models.prometheus_operator"
FLUX = "cloudcoil.models.fluxcd"
MODELS = {
    "monitoring.coreos.com/v1": (
        f"{OPERATOR}.v1",
        ["Alertmanager", "PodMonitor", "Prometheus", "PrometheusRule", "ServiceMonitor"],
    ),
    "monitoring.coreos.com/v1alpha1": (f"{OPERATOR}.v1alpha1", ["PrometheusAgent", "ScrapeConfig"]),
    "helm.toolkit.fluxcd.io/v2": (f"{FLUX}.helm.v2", ["HelmRelease"]),
    "source.toolkit.fluxcd.io/v1": (f"{FLUX}.source.v1", ["HelmRepository"]),
}


def schema(folder, version, kind):
    """The JSON Schema of a kind, from the folder or else from its model."""
    module, kinds = MODELS[version]
    if kind not in kinds:
        raise ValueError(f"there is no schema for {kind} of {version}")

    def place(name):
        return os.path.join(folder, f"{version.replace('/', '_')}_{name}.json")

    if not os.path.exists(place(kind)):
        import cloudcoil.pydantic

        # Models made after this line refuse fields that they do not know.
        cloudcoil.pydantic.BaseModel.model_config["extra"] = "forbid"
        models = importlib.import_module(module)
        for name in kinds:
            with open(place(name) + ".unfinished", "w", encoding="utf-8") as output:
                json.dump(getattr(models, name).model_json_schema(by_alias=True), output)
            os.rename(place(name) + ".unfinished", place(name))
    with open(place(kind), encoding="utf-8") as text:
        return json.load(text)


def faults(folder, document):
    """What is wrong with a document, one sentence each."""
    version, kind = document.get("apiVersion"), document.get("kind")
    if version in MODELS:
        validator = jsonschema.Draft202012Validator(schema(folder, version, kind))
        errors = validator.iter_errors(document)
        return [f"{'/'.join(map(str, error.absolute_path))}: {error.message[:300]}" for error in errors]
    try:
        kubernetes_validate.validate(document, VERSION, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [f"{'/'.join(map(str, error.path))}: {error.message[:300]}"]
    except kubernetes_validate.SchemaNotFoundError as error:
        return [error.message]
    return []


def main(folder, files):
    """Prints what is wrong; returns whether anything is."""
    seen, wrong = 0, False
    for file in files:
        with open(file, encoding="utf-8") as text:
            for document in yaml.safe_load_all(text):
                if document is None:
                    continue
                seen += 1
                name = document.get("metadata", {}).get("name")
                for fault in faults(folder, document):
                    wrong = True
                    print(f"{file}: {document.get('kind')} {name}: {fault}", file=sys.stderr)
    print(f"{seen} documents")
    return wrong or seen == 0


sys.exit(main(sys.argv[1], sys.argv[2:]))
