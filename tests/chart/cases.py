"""What the chart is rendered with: every combination of the modes, each other switch by itself, values of
which is known what they must make of a template, and values that must be refused, each with a word of the
reason."""

import itertools

# What there is no default of.
NEEDED = {"image": {"registry": "registry.example.com"}}

FILES = {
    "mode": "files",
    "files": {"frontdoorSecret": "frontdoor-tls", "agentSecret": "agents-tls"},
}
HOSTS = {"hostCertificates": {"names": ["ssh.example.com", "192.0.2.7"]}}
DESK = {"desk": {"enabled": True, "tlsSecret": "desk-tls"}}
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB2kXc6Dzw7HtAQ2YUJAQ1QvCbCNZGSGrS1aWQT9AkVS"

# Modes that change what others render: all combinations of them.
MODES = {
    "nodeHelper": [{"enabled": True}, {"enabled": False}],
    "kubelet": [{"trust": "clusterCA"}, {"trust": "nodeFile"}, {"trust": "none"}],
    "certificates": [{"mode": "enrolment"}, FILES],
    "frontdoor": [{"watchPods": True}, {"watchPods": False}],
    "signer": [{}, DESK],
    "networkPolicy": [{"enabled": True}, {"enabled": False}],
    "podMonitor": [{"enabled": False}, {"enabled": True}],
}

# A CA of users that is no desk's.
OWN_CA = {"config": {"authn": {"certificates": [{"authorities": "/etc/podgate/site/ca.pub"}]}}}

RULES = [{"record": "strict", "where": {"namespaces": ["prod"]}}, {"record": "bestEffort", "input": True}]
RECIPIENT = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
BUCKET = {"store": "s3://bucket/podgate", "options": {"region": "eu-central-1"}, "rules": RULES}
# What a switch renders is tried by the programs, which have no bucket.
FOLDER = {
    "store": "file:///var/lib/podgate/recordings",
    "rules": RULES,
    "volume": {"persistentVolumeClaim": {"claimName": "recordings"}},
}
PAGE = {"enabled": True, "url": "https://recordings.example.com", "tlsSecret": "page-tls"}
READERS = [{"kind": "Group", "name": "auditors", "apiGroup": "rbac.authorization.k8s.io"}]

# Switches that change one place: each by itself.
SWITCHES = {
    "names": {"nameOverride": "gate", "image": {"registry": "images.example", "tag": "1", "pullSecrets": ["pull"]}},
    "full name": {"fullnameOverride": "gate"},
    "ipv6": {"bindAddress": "::"},
    "users": {
        "users": [{"name": "ada", "groups": ["dev"], "keys": [KEY]}],
        "usersFrom": [{"secret": {"name": "more-users"}}],
    },
    "cluster ip": {"frontdoor": {"service": {"type": "ClusterIP", "port": 2222}}},
    "node port": {"frontdoor": {"service": {"type": "NodePort", "nodePort": 30022, "annotations": {"a": "b"}}}},
    "balancer": {
        "frontdoor": {
            "service": {"sourceRanges": ["192.0.2.0/24"], "loadBalancerClass": "example.com/l4"},
            "proxyProtocol": {"from": ["198.51.100.0/24"]},
        }
    },
    "frontdoor": {
        "frontdoor": {
            "hostKeysSecret": "own-keys",
            "config": {"limits": {"windowBytes": 4194304}, "defaultNamespace": "prod"},
            "extraVolumes": [{"name": "user-ca", "configMap": {"name": "user-ca"}}],
            "extraVolumeMounts": [{"name": "user-ca", "mountPath": "/etc/podgate/user-ca"}],
            "priorityClassName": "gates",
            "nodeSelector": {"gate": "yes"},
            "tolerations": [{"key": "gate", "operator": "Exists"}],
            "affinity": {"nodeAffinity": {}},
            "podAnnotations": {"a": "b"},
            "podLabels": {"team": "gates"},
        }
    },
    "the desk's and a site's own ca": {"frontdoor": OWN_CA, "signer": DESK},
    "agent": {
        "agent": {
            "journalHostPath": "/var/lib/podgate",
            "config": {"hangUpGraceSeconds": 5},
            "deny": {"namespaces": ["kube-system"], "labels": {"app": "vault"}, "hostNetwork": True},
            "maxSurge": 0,
            "podLabels": {"team": "gates"},
            "maxUnavailable": 1,
            "resourceQuota": True,
        },
        "nodeEntry": {
            "allowPrivileged": True,
            "allowHostProcesses": True,
            "onlyNamespaces": ["prod"],
            "arguments": ["--programs-per-user", "200"],
            "journalHostPath": "/var/lib/podgate-entry",
            "seLinuxOptions": {"type": "spc_t"},
        },
        "kubelet": {"fineGrainedAuthorization": False},
        "nodeHelper": {"appArmorProfile": {"type": "RuntimeDefault"}, "seLinuxOptions": {"type": "spc_t"}},
    },
    "no entry": {"nodeEntry": {"enabled": False}},
    "neither helper nor entry": {"nodeEntry": {"enabled": False}, "nodeHelper": {"enabled": False}},
    "direct": {"agent": {"runtime": "direct"}},
    "direct at old kubelets": {"agent": {"runtime": "direct"}, "kubelet": {"fineGrainedAuthorization": False}},
    "by the kubelet": {"agent": {"runtime": "kubelet"}},
    "agents' own files": {
        "certificates": {
            "mode": "files",
            "files": {"frontdoorSecret": "frontdoor-tls", "agentHostPath": "/etc/podgate/tls"},
        }
    },
    "own ca": {"certificates": {"enrolment": {"caSecret": "podgate-issuer", "lifetimeSeconds": 2000000}}},
    "desk": {
        "signer": {
            "desk": {
                "enabled": True,
                "tlsSecret": "desk-tls",
                "oidc": [{"issuerURL": "https://issuer.example", "clientID": "podgate"}],
                "service": {"type": "LoadBalancer", "sourceRanges": ["192.0.2.0/24"], "annotations": {"a": "b"}},
            },
            "replicas": 2,
            "extraVolumes": [{"name": "idp", "configMap": {"name": "idp-ca"}}],
            "extraVolumeMounts": [{"name": "idp", "mountPath": "/etc/podgate/idp", "readOnly": True}],
        }
    },
    "networks": {
        "networkPolicy": {
            "clients": ["192.0.2.0/24", "2001:db8::/32"],
            "deskClients": ["192.0.2.0/24"],
            "monitoring": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
            "apiServer": {"cidrs": ["203.0.113.1/32"], "ports": [6443]},
            "nodes": ["198.51.100.0/24"],
        },
        "signer": DESK,
    },
    # The configurations of all these are checked, and --check asks the store: a bucket is among the claims.
    "recordings in a folder": {
        "recordings": {
            "store": "file:///var/lib/podgate/recordings",
            "rules": RULES,
            "encryption": {"recipients": [RECIPIENT]},
            "config": {"strictSeconds": 30, "breakGlass": ["oncall"]},
            "volume": {"persistentVolumeClaim": {"claimName": "recordings"}},
            "spool": {"volume": {"persistentVolumeClaim": {"claimName": "spool"}}, "bytes": 33554432},
            "readers": READERS,
        }
    },
    "page of recordings": {
        "recordings": FOLDER,
        "replay": PAGE
        | {
            "replicas": 2,
            "config": {"limits": {"followers": 50}},
            "service": {"type": "LoadBalancer", "sourceRanges": ["192.0.2.0/24"], "annotations": {"a": "b"}},
            "priorityClassName": "gates",
            "podAnnotations": {"a": "b"},
            "podLabels": {"team": "gates"},
        },
        "networkPolicy": {"pageClients": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress"}}}]},
    },
    "page without tokens": {"recordings": FOLDER, "replay": PAGE | {"audience": ""}},
    "host certificates": {"signer": HOSTS},
    "monitor": {"podMonitor": {"enabled": True, "labels": {"release": "prometheus"}}},
    "test": {"test": {"publicKey": KEY, "keySecret": "podgate-test"}},
}

DIGEST = "sha256:" + 64 * "0"

# What values must make of a template, and after "!" must not; white space counts as one blank.
CLAIMS = [
    ({"agent": {"resourceQuota": True}}, "NOTES.txt", ["!priority class"]),
    ({"agent": {"resourceQuota": False}}, "agent/resourcequota.yaml", ["!kind"]),
    (
        {"signer": {"desk": DESK["desk"] | {"service": {"type": "NodePort"}}}},
        "signer/services.yaml",
        ["type: NodePort", "externalTrafficPolicy: Local"],
    ),
    ({"signer": DESK}, "signer/services.yaml", ["!externalTrafficPolicy"]),
    ({"agent": {"podLabels": {"azure.workload.identity/use": "true"}}}, "agent/daemonset.yaml", ['azure.workload.identity/use: "true"']),
    ({"frontdoor": {"podLabels": {"azure.workload.identity/use": "true"}}}, "frontdoor/deployment.yaml", ['azure.workload.identity/use: "true"']),
    ({"replay": PAGE | {"podLabels": {"azure.workload.identity/use": "true"}}, "recordings": FOLDER}, "replay/deployment.yaml", ['azure.workload.identity/use: "true"']),
    ({"podMonitor": {"enabled": True}}, "NOTES.txt", ["podMonitor finds nothing"]),
    (
        {"podMonitor": {"enabled": True}, "networkPolicy": {"enabled": False}},
        "NOTES.txt",
        ["!podMonitor finds nothing"],
    ),
    (
        {"signer": {"desk": {"enabled": True, "tlsSecret": "desk-tls", "oidc": [
            {"issuerURL": "https://issuer.example/realm", "clientID": "a"},
            {"issuerURL": "https://[2001:db8::1]:8443/realm", "clientID": "b"},
            {"issuerURL": "https://other.example", "clientID": "c"},
        ]}}},
        "signer/networkpolicy.yaml",
        ["# OIDC issuers' keys. - ports: - port: 443 protocol: TCP - port: 8443 protocol: TCP - ports:"],
    ),
    (
        {"frontdoor": {"podDisruptionBudget": {"minAvailable": 0}}},
        "frontdoor/poddisruptionbudget.yaml",
        ["minAvailable: 0", "!maxUnavailable"],
    ),
    (
        {"frontdoor": {"lingerSeconds": 0, "drainSeconds": 60}},
        "frontdoor/deployment.yaml",
        ["!lifecycle", "!preStop", "terminationGracePeriodSeconds: 80"],
    ),
    (
        {"signer": DESK},
        "NOTES.txt",
        ["!edit", "!Recommended", "need hostPID, three capabilities, a privileged container. ", ": podgate-host-keys, podgate-ca, podgate-user-ca."],
    ),
    (
        {"certificates": {"enrolment": {"caSecret": "mine"}}, "frontdoor": {"hostKeysSecret": "mine"}},
        "NOTES.txt",
        ["!uninstall"],
    ),
    (
        {"nodeHelper": {"enabled": False}, "nodeEntry": {"enabled": False}, "kubelet": {"trust": "nodeFile"}},
        "NOTES.txt",
        ["need a hostPath. ", "enforce=privileged", "Recommended: nodeEntry.enabled"],
    ),
    (
        {"nodeHelper": {"enabled": False}, "nodeEntry": {"enabled": False}},
        "NOTES.txt",
        ["!enforce=privileged"],
    ),
    ({"nodeHelper": {"enabled": False}}, "NOTES.txt", ["need hostPID, a privileged container. "]),
    (
        {"agent": {"deny": {"namespaces": ["kube-system"]}}},
        "agent/daemonset.yaml",
        ["- --no-namespace - \"kube-system\"", "!--allow-", "maxSurge: 10% maxUnavailable: 0"],
    ),
    ({"nodeEntry": {"enabled": False}}, "agent/daemonset.yaml", ["!privileged", "!podgate-entry", "hostPID: true"]),
    ({"nodeEntry": {"enabled": False}}, "agent/configmap.yaml", ["!nodeEntry", "runtime: auto"]),
    # With `direct` there is no right to exec.
    ({"agent": {"runtime": "direct"}}, "agent/rbac.yaml", ["!proxy", "resources: [nodes/pods] verbs: [get]"]),
    ({"agent": {"runtime": "kubelet"}}, "agent/rbac.yaml", ["resources: [nodes/proxy] verbs: [create]"]),
    ({"agent": {"runtime": "auto"}}, "agent/rbac.yaml", ["resources: [nodes/proxy] verbs: [create]"]),
    (
        {"frontdoor": OWN_CA, "signer": DESK},
        "frontdoor/configmap.yaml",
        ["- authorities: /etc/podgate/site/ca.pub", "- authorities: /etc/podgate/user-ca/user_ca.pub"],
    ),
    (
        {"frontdoor": OWN_CA},
        "frontdoor/configmap.yaml",
        ["- authorities: /etc/podgate/site/ca.pub", "!user_ca.pub"],
    ),
    (
        {"recordings": BUCKET | {"config": {"strictSeconds": 30}}},
        "frontdoor/configmap.yaml",
        [
            "store: s3://bucket/podgate strictSeconds: 30",
            "options: region: eu-central-1",
            "spoolFolder: /var/lib/podgate/spool spoolFolderBytes: 1073741824",
        ],
    ),
    (
        {"recordings": BUCKET | {"credentialsSecret": "store"}},
        "frontdoor/deployment.yaml",
        ["envFrom: # For the recordings' store. - secretRef: name: store", "name: recordings-spool emptyDir: {}", "!- name: recordings "],
    ),
    ({"recordings": {"credentialsSecret": "store"}}, "frontdoor/deployment.yaml", ["!envFrom", "!recordings"]),
    (
        {"recordings": BUCKET | {"serviceAccountAnnotations": {"eks.amazonaws.com/role-arn": "arn:x"}}},
        "frontdoor/serviceaccount.yaml",
        ["annotations: eks.amazonaws.com/role-arn: arn:x"],
    ),
    (
        {"recordings": BUCKET, "networkPolicy": {"recordingsStore": {"cidrs": ["192.0.2.0/24"], "ports": [9000]}}},
        "frontdoor/networkpolicy.yaml",
        ["# The recordings' store. - ports: - port: 9000 protocol: TCP to: - ipBlock: cidr: 192.0.2.0/24"],
    ),
    ({}, "frontdoor/networkpolicy.yaml", ["!recordings"]),
    ({"recordings": BUCKET}, "frontdoor/recordings.yaml", ["resources: [recordings] verbs: [list, get]", "!Binding"]),
    (
        {"recordings": BUCKET | {"readers": READERS}},
        "frontdoor/recordings.yaml",
        ["kind: ClusterRoleBinding", "kind: Group name: auditors"],
    ),
    (
        {"recordings": BUCKET, "replay": PAGE},
        "frontdoor/configmap.yaml",
        ["page: key: secret: name: podgate-page namespace: podgate url: https://recordings.example.com"],
    ),
    ({"recordings": BUCKET, "replay": PAGE}, "frontdoor/rbac.yaml", ["resourceNames: [podgate-page]"]),
    ({"recordings": BUCKET}, "frontdoor/configmap.yaml", ["!page:"]),
    ({"recordings": BUCKET}, "frontdoor/rbac.yaml", ["!podgate-page"]),
    (
        {"recordings": BUCKET, "replay": PAGE},
        "replay/configmap.yaml",
        ["store: s3://bucket/podgate", "tokens: audience: podgate-page", "key: secret: name: podgate-page namespace: podgate"],
    ),
    ({"recordings": BUCKET, "replay": PAGE}, "replay/networkpolicy.yaml", ["# The recordings' store. - ports: - port: 443"]),
    ({"recordings": BUCKET, "replay": PAGE | {"audience": ""}}, "replay/rbac.yaml", ["!tokenreviews"]),
    (
        {"recordings": BUCKET | {"serviceAccountAnnotations": {"a": "front"}}, "replay": PAGE | {"serviceAccountAnnotations": {"a": "page"}}},
        "replay/serviceaccount.yaml",
        ["annotations: a: page"],
    ),
    ({"recordings": BUCKET, "replay": PAGE}, "NOTES.txt", ["podgate-page."]),
    ({"signer": DESK}, "frontdoor/configmap.yaml", ["- authorities: /etc/podgate/user-ca/user_ca.pub"]),
    ({"signer": HOSTS}, "signer/configmap.yaml", ["names: - ssh.example.com - 192.0.2.7", "name: podgate-host-ca"]),
    ({"signer": HOSTS}, "signer/rbac.yaml", ["resourceNames: [podgate-host-ca]"]),
    ({"signer": HOSTS}, "NOTES.txt", ["@cert-authority ssh.example.com,192.0.2.7 $(", "podgate-ca, podgate-host-ca."]),
    ({"signer": {}}, "NOTES.txt", ["!cert-authority"]),
    ({"kubelet": {"fineGrainedAuthorization": True}}, "agent/rbac.yaml", ["!resources: [nodes/proxy] verbs: [get]"]),
    ({"kubelet": {"fineGrainedAuthorization": False}}, "agent/rbac.yaml", ["resources: [nodes/proxy] verbs: [get]"]),
    (
        {"frontdoor": {"image": {"digest": DIGEST}}},
        "frontdoor/deployment.yaml",
        [f"image: registry.example.com/podgate/frontdoor@{DIGEST} ", "!podgate/frontdoor:"],
    ),
]

# Values that are refused, and what the refusal names.
REFUSED = [
    ({"signer": {"desk": {"oidc": [{"issuerURL": "http://issuer.example"}]}}}, "issuerURL"),
    ({"frontdoor": {"config": {"drainSeconds": 3600}}}, "set frontdoor.drainSeconds"),
    ({"frontdoor": {"config": {"watchPods": False}}}, "set frontdoor.watchPods"),
    ({"frontdoor": {"config": {"listen": "0.0.0.0:22"}}}, "set bindAddress"),
    ({"agent": {"config": {"drainSeconds": 3600}}}, "set agent.drainSeconds"),
    ({"agent": {"config": {"admin": "0.0.0.0:9091"}}}, "set bindAddress"),
    ({"agent": {"config": {"deny": {"namespaces": []}}}}, "set agent.deny"),
    ({"agent": {"config": {"journal": "/var/lib/podgate"}}}, "set agent.journalHostPath"),
    ({"frontdoor": {"config": {"proxyProtocol": {"from": []}}}}, "set frontdoor.proxyProtocol"),
    ({"signer": {"config": {"listen": "0.0.0.0:443"}}}, "signer.port"),
    ({"agent": {"config": {"runtime": "direct"}}}, "set agent.runtime"),
    ({"agent": {"config": {"nodeEntry": "/run/entry.sock"}}}, "set nodeEntry.enabled"),
    ({"frontdoor": {"config": {"recordings": {}}}}, "set recordings.store"),
    ({"recordings": BUCKET | {"config": {"rules": []}}}, "set recordings.rules"),
    ({"recordings": BUCKET | {"rules": []}}, "rules"),
    # What `off` without quotes is in a file of values.
    ({"recordings": BUCKET | {"rules": [{"record": False}]}}, "record"),
    ({"recordings": BUCKET | {"store": "file:///var/lib/podgate/recordings"}}, "volume"),
    ({"recordings": BUCKET | {"store": "file:///tmp"}}, "store"),
    ({"recordings": BUCKET | {"spool": {"bytes": 1}}}, "bytes"),
    ({"recordings": BUCKET | {"encryption": {"recipients": ["AGE-SECRET-KEY-1QQQ"]}}}, "recipients"),
    ({"recordings": BUCKET | {"config": {"encryption": {}}}}, "set recordings.encryption"),
    ({"replay": PAGE}, "replay.enabled needs recordings.store"),
    ({"recordings": BUCKET, "replay": {"enabled": True, "tlsSecret": "page-tls"}}, "url"),
    ({"recordings": BUCKET, "replay": PAGE | {"tlsSecret": ""}}, "tlsSecret"),
    ({"recordings": BUCKET, "replay": PAGE | {"url": "http://recordings.example.com"}}, "url"),
    ({"recordings": BUCKET, "replay": PAGE | {"config": {"url": "https://a"}}}, "set replay.url"),
    ({"recordings": BUCKET, "replay": PAGE | {"sessionSeconds": 86400}}, "sessionSeconds"),
    ({"recordings": BUCKET | {"config": {"page": {}}}}, "set replay.url"),
    ({"agent": {"maxUnavailable": "10%"}}, "agent.maxSurge"),
    ({"agent": {"maxSurge": 0}}, "agent.maxSurge"),
    ({"agent": {"runtime": "shim"}}, "runtime"),
    ({"agent": {"runtime": "direct"}, "nodeEntry": {"enabled": False}}, "set nodeEntry.enabled"),
    ({"nodeEntry": {"privileged": False}}, "privileged"),
    ({"image": {"registry": ""}}, "registry"),
    ({"agent": {"image": {"digest": "0.1.0"}}}, "digest"),
    ({"frontdor": {}}, "frontdor"),
    ({"frontdoor": {"replica": 2}}, "replica"),
    ({"agent": {"privileged": True}}, "privileged"),
    ({"kubelet": {"trust": "clusterCa"}}, "trust"),
    ({"kubelet": {"trust": False}}, "trust"),
    ({"kubelet": {"certificateFile": "kubelet.crt"}}, "certificateFile"),
    ({"certificates": {"mode": "file"}}, "mode"),
    ({"certificates": {"mode": "files"}}, "frontdoorSecret"),
    ({"certificates": {"mode": "files", "files": {"frontdoorSecret": "a"}}}, "agent"),
    ({"signer": {"desk": {"enabled": True}}}, "tlsSecret"),
    ({"signer": HOSTS, "certificates": FILES}, "certificates.mode enrolment"),
    ({"signer": {"hostCertificates": {"names": "ssh.example.com"}}}, "names"),
    ({"frontdoor": {"service": {"type": "ExternalName"}}}, "type"),
    ({"frontdoor": {"service": {"port": 70000}}}, "port"),
    ({"frontdoor": {"proxyProtocol": {"from": ["anywhere"]}}}, "from"),
    ({"frontdoor": {"replicas": "2"}}, "replicas"),
    ({"users": {"ada": "ssh-ed25519 AAAA"}}, "users"),
    ({"users": [{"nome": "ada"}]}, "nome"),
    ({"networkPolicy": {"clients": ["192.0.2.1"]}}, "clients"),
    ({"agent": {"uid": 0}}, "uid"),
    ({"agent": {"drainSeconds": -1}}, "drainSeconds"),
    ({"test": {"publicKey": KEY}}, "keySecret"),
    ({"log": {"format": "xml"}}, "format"),
]


def accepted():
    """Yields (name, values)."""
    yield "default", NEEDED
    for chosen in itertools.product(*MODES.values()):
        values = dict(zip(MODES, chosen))
        yield str(values), NEEDED | values
    for name, values in SWITCHES.items():
        yield name, NEEDED | values
