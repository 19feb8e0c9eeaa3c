"""What must hold of the objects that `kubectl kustomize` printed: manifests.py FILE..."""
import re
import sys

import yaml

faults = 0


def check(ok, file, thing, words):
    global faults
    if not ok:
        print(f"FAILED: {file}: {thing['kind']} {thing['metadata']['name']}: {words}")
        faults += 1


def mount(container, volume):
    return next((m for m in container.get("volumeMounts", []) if m["name"] == volume), None)


def of_kind(things, kind, name):
    return next((t for t in things if t["kind"] == kind and t["metadata"]["name"] == name), None)


def check_pod(file, thing, spec):
    """Every mount has its volume and every volume a use; no image floats; no token."""
    containers = spec.get("initContainers", []) + spec["containers"]
    names = {v["name"] for v in spec["volumes"]}
    used = {m["name"] for c in containers for m in c.get("volumeMounts", [])}
    check(names == used, file, thing, f"volumes {sorted(names)}, mounted {sorted(used)}")
    for c in containers:
        check(re.search(r":\d+\.\d+\.\d+$", c["image"]), file, thing, f"image {c['image']} names no release")
        check(c["imagePullPolicy"] == "IfNotPresent", file, thing, f"{c['name']} is pulled each time")
        check("memory" in c.get("resources", {}).get("limits", {}), file, thing, f"{c['name']} may take all memory")
    check(spec["automountServiceAccountToken"] is False, file, thing, "the pod gets a token")
    check(spec["tolerations"] == [{"operator": "Exists"}], file, thing, "leaves nodes out")


def check_exporter(file, thing, container):
    context = container["securityContext"]
    must = {
        "runAsNonRoot": True,
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "privileged": False,
        "runAsUser": 9987,
        "runAsGroup": 9987,
        "capabilities": {"drop": ["ALL"], "add": ["BPF"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    for key, value in must.items():
        check(context.get(key) == value, file, thing, f"{key} of the exporter is {context.get(key)}")
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        command = container[probe]["exec"]["command"]
        # A probe with other flags would ask somebody else.
        check(command[2:] == container["args"], file, thing, f"{probe} has other flags than the exporter")
    for m in container["volumeMounts"]:
        check(m.get("readOnly"), file, thing, f"the exporter may write to {m['mountPath']}")
    check(mount(container, "bpffs").get("mountPropagation") == "HostToContainer", file, thing,
          "the exporter sees no bpffs that is mounted later")


def check_init(file, thing, spec, exporter):
    init = spec["initContainers"][0]
    env = {pair["name"]: pair["value"] for pair in init["env"]}
    check(init["securityContext"].get("privileged"), file, thing, "the init container cannot load a module")
    check(mount(init, "bpffs").get("mountPropagation") == "Bidirectional", file, thing,
          "a bpffs that is mounted here stays here")
    check(int(env["NFBPF_GROUP"]) == exporter["securityContext"]["runAsGroup"], file, thing,
          "the pins belong to another group than the exporter's")
    check(env["NFBPF_DATAPATH"] == "kmod" or spec.get("hostNetwork"), file, thing,
          "a link would be made in the pod's own network")


def check_daemonset(file, things, thing):
    spec = thing["spec"]["template"]["spec"]
    labels = thing["spec"]["template"]["metadata"]["labels"]
    check_pod(file, thing, spec)
    check(all(labels.get(k) == v for k, v in thing["spec"]["selector"]["matchLabels"].items()), file, thing,
          "selects other pods than its own")
    namespace = of_kind(things, "Namespace", thing["metadata"]["namespace"])
    level = (namespace or {"metadata": {"labels": {}}})["metadata"]["labels"].get("pod-security.kubernetes.io/enforce")
    check(level == "privileged", file, thing, f"its namespace lets in pods of level {level}")
    if thing["metadata"]["name"] != "nfbpf":
        return
    exporter = spec["containers"][0]
    check_exporter(file, thing, exporter)
    check_init(file, thing, spec, exporter)
    config = next(v["configMap"]["name"] for v in spec["volumes"] if "configMap" in v)
    for kind, name in (("ConfigMap", config), ("ServiceAccount", spec["serviceAccountName"]),
                       ("PriorityClass", spec["priorityClassName"])):
        check(of_kind(things, kind, name), file, thing, f"there is no {kind} {name}")
    for other in things:
        selector = {
            "Service": lambda s: s["selector"],
            "NetworkPolicy": lambda s: s["podSelector"]["matchLabels"],
            "PodMonitor": lambda s: s["selector"]["matchLabels"],
        }.get(other["kind"], lambda s: {})(other.get("spec", {}))
        check(all(labels.get(k) == v for k, v in selector.items()), file, other, f"selects no pod: {selector}")


number = 0
for path in sys.argv[1:]:
    with open(path, encoding="utf-8") as text:
        objects = list(yaml.safe_load_all(text))
    for each in objects:
        if each["kind"] == "DaemonSet":
            check_daemonset(path, objects, each)
        if each["kind"] == "ServiceAccount":
            check(each["automountServiceAccountToken"] is False, path, each, "gives out a token")
        number += 1
print(f"{number} objects, {faults} faults")
sys.exit(1 if faults or not number else 0)
