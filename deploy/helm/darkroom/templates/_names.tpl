{{/* Short enough that with a pool's name behind it it is still a label's value. */}}
{{- define "darkroom.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 32 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 32 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What selects the pods of a component. Takes (dict "root" $ "component" "gateway" "pool" ""). */}}
{{- define "darkroom.selectorLabels" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- with .pool }}
darkroom.dev/pool: {{ . }}
{{- end }}
{{- end -}}

{{- define "darkroom.labels" -}}
{{ include "darkroom.selectorLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: darkroom
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "darkroom.serviceAccountName" -}}
{{- default (ternary (include "darkroom.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name -}}
{{- end -}}

{{/* Takes (dict "root" $ "image" .Values.gateway.image "tag" "…"); the digest wins over the tag. */}}
{{- define "darkroom.image" -}}
{{- $registry := ternary "" (printf "%s/" .root.Values.image.registry) (empty .root.Values.image.registry) -}}
{{- $version := ternary (printf ":%s" .tag) (printf "@%s" .image.digest) (empty .image.digest) -}}
{{- printf "%s%s%s" $registry .image.repository $version -}}
{{- end -}}

{{- define "darkroom.farmTag" -}}
{{- default .Chart.AppVersion .Values.image.tag -}}
{{- end -}}

{{/* host:port of every coordinator: each is asked by its own name, since only one leads. */}}
{{- define "darkroom.coordinators" -}}
{{- $name := printf "%s-coordinator" (include "darkroom.fullname" .) -}}
{{- $hosts := list -}}
{{- range $i := until (int .Values.coordinator.replicas) -}}
{{- $hosts = append $hosts (printf "%s-%d.%s.%s.svc:50051" $name $i $name $.Release.Namespace) -}}
{{- end -}}
{{- join "," $hosts -}}
{{- end -}}

{{- define "darkroom.natsUrl" -}}
{{- if .Values.nats.enabled -}}
{{- printf "%s://%s-nats.%s.svc:4222" (ternary "tls" "nats" .Values.tls.enabled) (include "darkroom.fullname" .) .Release.Namespace -}}
{{- else -}}
{{- required "externalNats.url is needed where nats.enabled is false" .Values.externalNats.url -}}
{{- end -}}
{{- end -}}

{{/* Secret with ca.crt, tls.crt and tls.key. Takes (dict "root" $ "component" "gateway"). */}}
{{- define "darkroom.tlsSecret" -}}
{{- if .root.Values.tls.certManager.enabled -}}
{{- printf "%s-%s-tls" (include "darkroom.fullname" .root) .component -}}
{{- else -}}
{{- $message := printf "tls.existingSecrets.%s or tls.certManager.enabled is needed where tls.enabled is true" .component -}}
{{- required $message (get .root.Values.tls.existingSecrets .component) -}}
{{- end -}}
{{- end -}}
