{{/* Names and labels as `helm create` lays them out, and what the parts' pods share. */}}

{{- define "podgate.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "podgate.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains (include "podgate.name" .) .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "podgate.name" .) | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* Takes {root, component}. What a part's pods are found by; it never changes. */}}
{{- define "podgate.selectorLabels" -}}
app.kubernetes.io/name: {{ include "podgate.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* Takes {root, component}. */}}
{{- define "podgate.labels" -}}
{{ include "podgate.selectorLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Takes {root, image}. */}}
{{- define "podgate.image" -}}
{{- .root.Values.image.registry }}/{{ .image.repository }}
{{- with .image.digest }}@{{ . }}{{ else }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion }}{{ end }}
{{- end }}

{{- define "podgate.pullSecrets" -}}
{{- with .Values.image.pullSecrets -}}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- end }}

{{/* Takes {root, port}: an address to listen on. */}}
{{- define "podgate.listen" -}}
{{- if contains ":" .root.Values.bindAddress -}}
[{{ .root.Values.bindAddress }}]:{{ .port }}
{{- else -}}
{{ .root.Values.bindAddress }}:{{ .port }}
{{- end }}
{{- end }}

{{/* Takes {part, config, values}: keys that are not taken in `config`, since objects go by their values, too. */}}
{{- define "podgate.notInConfig" -}}
{{- range $key, $value := .values }}
{{- if hasKey $.config $key }}
{{- fail (printf "%s.config.%s cannot be set, because the chart depends on it: set %s" $.part $key $value) }}
{{- end }}
{{- end }}
{{- end }}

{{/* The names that several templates need. */}}
{{- define "podgate.bundle" -}}{{ include "podgate.fullname" . }}-ca{{- end }}
{{- define "podgate.caSecret" -}}{{ include "podgate.fullname" . }}-ca{{- end }}
{{- define "podgate.userCaSecret" -}}{{ include "podgate.fullname" . }}-user-ca{{- end }}
{{- define "podgate.hostCaSecret" -}}{{ include "podgate.fullname" . }}-host-ca{{- end }}
{{- define "podgate.pageKey" -}}{{ include "podgate.fullname" . }}-page{{- end }}

{{/* Where the key of links is, in the configurations of frontdoors and of the page. */}}
{{- define "podgate.pageKeySource" -}}
secret:
  namespace: {{ .Release.Namespace }}
  name: {{ include "podgate.pageKey" . }}
{{- end }}

{{- define "podgate.hostKeys" -}}
{{ .Values.frontdoor.hostKeysSecret | default (printf "%s-host-keys" (include "podgate.fullname" .)) }}
{{- end }}

{{/* Whether there is a signer at all. */}}
{{- define "podgate.signer" -}}
{{- if or (eq .Values.certificates.mode "enrolment") .Values.signer.desk.enabled }}yes{{ end }}
{{- end }}

{{/* The link's certificates, in the configurations of agents and frontdoors. */}}
{{- define "podgate.linkConfig" -}}
{{- if eq .Values.certificates.mode "enrolment" -}}
enrolment:
  signer: https://{{ include "podgate.fullname" . }}-signer.{{ .Release.Namespace }}.svc:{{ .Values.signer.port }}
  ca: /etc/podgate/ca/ca.crt
  tokenFile: /var/run/secrets/podgate/token
{{- else -}}
tls:
  cert: /etc/podgate/tls/tls.crt
  key: /etc/podgate/tls/tls.key
  ca: /etc/podgate/tls/ca.crt
{{- end }}
{{- end }}

{{/* Takes {root, secret, hostPath}: the volumes of the same. */}}
{{- define "podgate.linkVolumes" -}}
{{- if eq .root.Values.certificates.mode "enrolment" -}}
# The signer writes ca.crt there. Until then the part waits and is not ready. The kubelet brings changes into the pod.
- name: ca
  configMap:
    name: {{ include "podgate.bundle" .root }}
# Only the signer accepts this token.
- name: enrolment
  projected:
    defaultMode: 0440
    sources:
      - serviceAccountToken:
          audience: podgate-enrolment
          expirationSeconds: 3600
          path: token
{{- else if .hostPath -}}
- name: tls
  hostPath:
    path: {{ .hostPath }}
    type: Directory
{{- else -}}
- name: tls
  secret:
    secretName: {{ .secret }}
    defaultMode: 0440
{{- end }}
{{- end }}

{{- define "podgate.linkMounts" -}}
{{- if eq .Values.certificates.mode "enrolment" -}}
- name: ca
  mountPath: /etc/podgate/ca
  readOnly: true
- name: enrolment
  mountPath: /var/run/secrets/podgate
  readOnly: true
{{- else -}}
- name: tls
  mountPath: /etc/podgate/tls
  readOnly: true
{{- end }}
{{- end }}

{{/* What a pod of the API server's clients would get by itself, but for a shorter time and by one container. */}}
{{- define "podgate.apiVolume" -}}
- name: api
  projected:
    defaultMode: 0440
    sources:
      - serviceAccountToken:
          expirationSeconds: 3600
          path: token
      - configMap:
          name: kube-root-ca.crt
          items:
            - key: ca.crt
              path: ca.crt
      - downwardAPI:
          items:
            - path: namespace
              fieldRef:
                fieldPath: metadata.namespace
{{- end }}

{{- define "podgate.apiMount" -}}
- name: api
  mountPath: /var/run/secrets/kubernetes.io/serviceaccount
  readOnly: true
{{- end }}

{{/* Of every container but node helper and node entry. */}}
{{- define "podgate.securityContext" -}}
runAsNonRoot: true
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* The kubelet asks at the pod's address: `admin` listens there, which says nothing of any session. */}}
{{- define "podgate.probes" -}}
startupProbe:
  httpGet:
    path: /livez
    port: admin
  periodSeconds: 2
  failureThreshold: 60
livenessProbe:
  httpGet:
    path: /livez
    port: admin
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet:
    path: /readyz
    port: admin
  periodSeconds: 5
  timeoutSeconds: 5
{{- end }}

{{/* Takes CIDRs: peers of a NetworkPolicy. */}}
{{- define "podgate.peers" -}}
{{- range . }}
- ipBlock:
    cidr: {{ . }}
{{- end }}
{{- end }}

{{- define "podgate.egressDns" -}}
- ports:
    - port: 53
      protocol: UDP
    - port: 53
      protocol: TCP
{{- end }}

{{- define "podgate.egressApi" -}}
- ports:
{{- range .Values.networkPolicy.apiServer.ports }}
    - port: {{ . }}
      protocol: TCP
{{- end }}
{{- with .Values.networkPolicy.apiServer.cidrs }}
  to:
    {{- include "podgate.peers" . | trim | nindent 4 }}
{{- end }}
{{- end }}

{{- define "podgate.egressStore" -}}
{{- if and .Values.recordings.store (not (hasPrefix "file:" .Values.recordings.store)) -}}
# The recordings' store.
{{- with .Values.networkPolicy.recordingsStore }}
- ports:
    {{- range .ports }}
    - port: {{ . }}
      protocol: TCP
    {{- end }}
  {{- with .cidrs }}
  to:
    {{- include "podgate.peers" . | trim | nindent 4 }}
  {{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "podgate.egressSigner" -}}
{{- if eq .Values.certificates.mode "enrolment" -}}
- to:
    - podSelector:
        matchLabels:
          {{- include "podgate.selectorLabels" (dict "root" . "component" "signer") | nindent 10 }}
  ports:
    - port: {{ .Values.signer.port }}
      protocol: TCP
{{- end }}
{{- end }}

{{- define "podgate.ingressMonitoring" -}}
{{- with .Values.networkPolicy.monitoring -}}
- from:
    {{- toYaml . | nindent 4 }}
  ports:
    - port: admin
      protocol: TCP
{{- end }}
{{- end }}
