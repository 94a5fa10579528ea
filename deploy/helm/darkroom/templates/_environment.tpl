{{/* Helm reads every number as a float: 2000000 is to be written so, not as 2e+06. */}}
{{- define "darkroom.scalar" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) -}}
{{- printf "%d" (int64 .) -}}
{{- else -}}
{{- . -}}
{{- end -}}
{{- end -}}

{{/* Settings as variables: maxItems of the gateway is DARKROOM_GATEWAY_MAX_ITEMS. Takes (dict "prefix" "GATEWAY" "config" {…}). */}}
{{- define "darkroom.configEnv" -}}
{{- range $key, $value := .config }}
- name: DARKROOM_{{ $.prefix }}_{{ $key | snakecase | upper }}
  value: {{ include "darkroom.scalar" $value | quote }}
{{- end }}
{{- end -}}

{{- define "darkroom.storeEnv" -}}
- name: DARKROOM_S3_BUCKET
  value: {{ .Values.store.bucket | quote }}
- name: DARKROOM_S3_REGION
  value: {{ .Values.store.region | quote }}
{{- with .Values.store.endpoint }}
- name: DARKROOM_S3_ENDPOINT
  value: {{ . | quote }}
{{- end }}
- name: DARKROOM_S3_FORCE_PATH_STYLE
  value: {{ .Values.store.forcePathStyle | quote }}
{{- with .Values.store.existingSecret }}
{{- if .name }}
- name: DARKROOM_S3_ACCESS_KEY_ID
  valueFrom:
    secretKeyRef: { name: {{ .name | quote }}, key: {{ .accessKeyIdKey | quote }} }
- name: DARKROOM_S3_SECRET_ACCESS_KEY
  valueFrom:
    secretKeyRef: { name: {{ .name | quote }}, key: {{ .secretAccessKeyKey | quote }} }
{{- end }}
{{- end }}
{{- end -}}

{{/* Takes (dict "root" $ "user" "coordinator"). */}}
{{- define "darkroom.natsEnv" -}}
- name: DARKROOM_NATS_URL
  value: {{ include "darkroom.natsUrl" .root | quote }}
{{- with include "darkroom.natsSecret" .root }}
- name: DARKROOM_NATS_USER
  value: {{ $.user }}
- name: DARKROOM_NATS_PASSWORD
  valueFrom:
    secretKeyRef: { name: {{ . }}, key: {{ $.user }} }
{{- end }}
{{- end -}}

{{/* What every service of the farm reads. */}}
{{- define "darkroom.commonEnv" -}}
- name: DARKROOM_LOG_LEVEL
  value: {{ .Values.logLevel | quote }}
{{- if .Values.tls.enabled }}
- name: DARKROOM_TLS_CA_FILE
  value: /etc/darkroom/tls/ca.crt
- name: DARKROOM_TLS_CERT_FILE
  value: /etc/darkroom/tls/tls.crt
- name: DARKROOM_TLS_KEY_FILE
  value: /etc/darkroom/tls/tls.key
{{- end }}
{{- end -}}

{{/* The pod's own address: what others are told to find it by. */}}
{{- define "darkroom.podAddress" -}}
valueFrom:
  fieldRef: { fieldPath: status.podIP }
{{- end -}}

{{- define "darkroom.authEnv" -}}
{{- with .Values.auth }}
{{- if ne .mode "open" }}
- name: DARKROOM_GATEWAY_AUTH
  value: {{ .mode }}
{{- end }}
{{- if .rootKeys.existingSecret }}
- name: DARKROOM_GATEWAY_ROOT_KEYS_FILE
  value: /etc/darkroom/auth/root-keys
{{- end }}
{{- if .oidc.issuer }}
- name: DARKROOM_GATEWAY_OIDC_ISSUER
  value: {{ .oidc.issuer | quote }}
- name: DARKROOM_GATEWAY_OIDC_AUDIENCE
  value: {{ .oidc.audience | quote }}
- name: DARKROOM_GATEWAY_OIDC_TENANT_CLAIM
  value: {{ .oidc.tenantClaim | quote }}
{{- end }}
{{- end }}
{{- end -}}
