{{/* Name of everything that the chart makes. */}}
{{- define "uidmeter.name" -}}
{{- if contains "uidmeter" .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-uidmeter" .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What selects the Pods; it can never change. */}}
{{- define "uidmeter.selector" -}}
app.kubernetes.io/name: uidmeter
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "uidmeter.labels" -}}
{{ include "uidmeter.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* How the operator's Prometheus scrapes: the same for a Service and for Pods. */}}
{{- define "uidmeter.endpoint" -}}
- port: metrics
  path: /metrics
  scheme: https
  interval: {{ .Values.monitor.interval }}
  scrapeTimeout: {{ .Values.monitor.scrapeTimeout }}
  basicAuth:
    username:
      name: {{ .Values.monitor.existingSecret }}
      key: username
    password:
      name: {{ .Values.monitor.existingSecret }}
      key: password
  tlsConfig:
    ca:
      secret:
        name: {{ .Values.monitor.existingSecret }}
        key: ca.crt
    serverName: {{ .Values.monitor.serverName | quote }}
  relabelings:
    - sourceLabels:
        - __meta_kubernetes_pod_node_name
      targetLabel: instance
{{- end -}}
