{{- define "darkroom.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile: { type: RuntimeDefault }
{{- end -}}

{{- define "darkroom.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end -}}

{{/* Takes (dict "root" $ "component" "gateway" "pool" "" "values" .Values.gateway "checksum" "…"). */}}
{{- define "darkroom.podMetadata" -}}
labels:
  {{- include "darkroom.selectorLabels" . | nindent 2 }}
  app.kubernetes.io/part-of: darkroom
  {{- with .root.Values.commonLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- with .values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- if or .checksum .values.podAnnotations }}
annotations:
  {{- with .checksum }}
  checksum/config: {{ . }}
  {{- end }}
  {{- with .values.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "darkroom.identity" -}}
serviceAccountName: {{ include "darkroom.serviceAccountName" . }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* Where pods may be. Spread over zones, and over nodes where "spreadNodes". */}}
{{- define "darkroom.placement" -}}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
  {{- range ternary (list "topology.kubernetes.io/zone" "kubernetes.io/hostname") (list "topology.kubernetes.io/zone") (default false .spreadNodes) }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "darkroom.selectorLabels" $ | nindent 8 }}
  {{- end }}
{{- end -}}

{{- define "darkroom.tlsVolume" -}}
{{- if .root.Values.tls.enabled }}
- name: tls
  secret:
    secretName: {{ include "darkroom.tlsSecret" . }}
    defaultMode: 288 # 0440
{{- end }}
{{- end -}}

{{- define "darkroom.tlsMount" -}}
{{- if .Values.tls.enabled }}
- { name: tls, mountPath: /etc/darkroom/tls, readOnly: true }
{{- end }}
{{- end -}}

{{/* Whether a gRPC server answers: the kubelet asks it itself, but cannot speak TLS. Takes (dict "root" $ "port" 50051). */}}
{{- define "darkroom.grpcOrLivez" -}}
{{- if .root.Values.tls.enabled -}}
httpGet: { path: /livez, port: admin }
{{- else -}}
grpc: { port: {{ .port }} }
{{- end -}}
{{- end -}}

{{/* One pod at a time leaves for a node's sake. Takes (dict "root" $ "component" "gateway"). */}}
{{- define "darkroom.disruptionBudget" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "darkroom.fullname" .root }}-{{ .component }}
  labels:
    {{- include "darkroom.labels" . | nindent 4 }}
spec:
  maxUnavailable: 1
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "darkroom.selectorLabels" . | nindent 6 }}
{{- end -}}
