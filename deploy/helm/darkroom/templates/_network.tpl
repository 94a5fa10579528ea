{{/* Pods of this release. Takes (dict "root" $ "components" (list …)). */}}
{{- define "darkroom.peers" -}}
{{- range .components }}
- podSelector:
    matchLabels:
      {{- include "darkroom.selectorLabels" (dict "root" $.root "component" .) | nindent 6 }}
{{- end }}
{{- end -}}

{{- define "darkroom.fromMonitoring" -}}
{{- with .root.Values.networkPolicy.monitoringFrom }}
- from:
    {{- toYaml . | nindent 4 }}
  ports: [{ port: {{ $.port }} }]
{{- end }}
{{- end -}}

{{- define "darkroom.toDns" -}}
- ports:
    - { port: 53, protocol: UDP }
    - { port: 53, protocol: TCP }
  to:
    - namespaceSelector: {}
      podSelector:
        matchLabels: { k8s-app: kube-dns }
    # NodeLocal DNSCache, where the cluster has it.
    - ipBlock: { cidr: 169.254.20.10/32 }
{{- end -}}

{{- define "darkroom.egressOfServices" -}}
{{ include "darkroom.toDns" . }}
{{- $url := urlParse (default "https://s3.amazonaws.com" .Values.store.endpoint) }}
- ports: [{ port: {{ default (ternary "443" "80" (eq $url.scheme "https")) (regexFind "[0-9]+$" (regexFind ":[0-9]+$" $url.host)) }} }]
  {{- with .Values.networkPolicy.storeTo }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- with .Values.networkPolicy.extraEgress }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "darkroom.toNats" -}}
{{- if .Values.nats.enabled }}
- to:
    {{- include "darkroom.peers" (dict "root" . "components" (list "nats")) | nindent 4 }}
  ports: [{ port: nats }]
{{- else }}
- ports:
    {{- range splitList "," .Values.externalNats.url }}
    - port: {{ default "4222" (regexFind "[0-9]+$" (regexFind ":[0-9]+$" (trim .))) }}
    {{- end }}
  {{- with .Values.networkPolicy.natsTo }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end -}}
