{{- define "darkroom.natsConf" -}}
{{- $name := printf "%s-nats" (include "darkroom.fullname" .) -}}
server_name: $POD_NAME
port: 4222
http_port: 8222
max_payload: {{ int64 .Values.nats.maxPayloadBytes }}
jetstream {
  store_dir: /data
  max_memory_store: 0
  # What was acknowledged is on the disk, also when the node loses power.
  sync_interval: always
}
{{ .Files.Get "files/nats-users.conf" | trim }}
{{- if gt (int .Values.nats.replicas) 1 }}
cluster {
  name: {{ $name }}
  port: 6222
  no_advertise: true
  routes: [
    {{- range $i := until (int .Values.nats.replicas) }}
    nats-route://{{ $name }}-{{ $i }}.{{ $name }}.{{ $.Release.Namespace }}.svc:6222
    {{- end }}
  ]
  {{- if .Values.tls.enabled }}
  {{- include "darkroom.natsTls" . | nindent 2 }}
  {{- end }}
}
{{- end }}
{{- if .Values.tls.enabled }}
{{ include "darkroom.natsTls" . }}
{{- end }}
{{- end -}}

{{- define "darkroom.natsTls" -}}
tls {
  ca_file: /etc/darkroom/tls/ca.crt
  cert_file: /etc/darkroom/tls/tls.crt
  key_file: /etc/darkroom/tls/tls.key
  verify: true
}
{{- end -}}

{{/* Secret with the passwords of NATS' users, by their names; nothing where they have none. */}}
{{- define "darkroom.natsSecret" -}}
{{- if .Values.nats.enabled -}}
{{- default (printf "%s-nats-users" (include "darkroom.fullname" .)) .Values.nats.existingSecret -}}
{{- else -}}
{{- .Values.externalNats.existingSecret -}}
{{- end -}}
{{- end -}}
