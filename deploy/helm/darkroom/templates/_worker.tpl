{{/* What a pool says over what all pools have, as YAML. Takes (dict "root" $ "name" "default"). */}}
{{- define "darkroom.pool" -}}
{{- toYaml (mergeOverwrite (deepCopy .root.Values.workers.poolDefaults) (deepCopy (default dict (get .root.Values.workers.pools .name)))) -}}
{{- end -}}

{{- define "darkroom.cacheVolume" -}}
- name: cache
  {{- if eq .type "emptyDir" }}
  emptyDir: { sizeLimit: {{ .size }} }
  {{- else if eq .type "ephemeral" }}
  ephemeral:
    volumeClaimTemplate:
      spec:
        accessModes: [ReadWriteOnce]
        {{- with .storageClassName }}
        storageClassName: {{ . }}
        {{- end }}
        resources: { requests: { storage: {{ .size }} } }
  {{- else if eq .type "claim" }}
  persistentVolumeClaim:
    claimName: {{ required "cache.claimName is needed where cache.type is claim" .claimName }}
  {{- else }}
  hostPath: { path: {{ .hostPath }}, type: DirectoryOrCreate }
  {{- end }}
{{- end -}}

{{/* Resources of a pool with its GPU, which is a limit and nothing else. */}}
{{- define "darkroom.workerResources" -}}
{{- $resources := deepCopy .resources -}}
{{- if eq .device "cuda" -}}
{{- $_ := set $resources "limits" (set (default dict $resources.limits) .gpu.resource (int .gpu.count)) -}}
{{- end -}}
{{- toYaml $resources -}}
{{- end -}}

{{/* How clouds mark a node that may be taken away: any one of these. */}}
{{- define "darkroom.spotAffinity" -}}
nodeAffinity:
  requiredDuringSchedulingIgnoredDuringExecution:
    nodeSelectorTerms:
      - matchExpressions: [{ key: cloud.google.com/gke-spot, operator: In, values: ['true'] }]
      - matchExpressions: [{ key: eks.amazonaws.com/capacityType, operator: In, values: [SPOT] }]
      - matchExpressions: [{ key: karpenter.sh/capacity-type, operator: In, values: [spot] }]
      - matchExpressions: [{ key: kubernetes.azure.com/scalesetpriority, operator: In, values: [spot] }]
{{- end -}}

{{- define "darkroom.workerTolerations" -}}
{{- if eq .device "cuda" }}
- { key: nvidia.com/gpu, operator: Exists, effect: NoSchedule }
{{- end }}
{{- if .spot }}
- { key: cloud.google.com/gke-spot, operator: Exists, effect: NoSchedule }
- { key: kubernetes.azure.com/scalesetpriority, operator: Exists, effect: NoSchedule }
{{- end }}
{{- with .tolerations }}
{{ toYaml . }}
{{- end }}
{{- end -}}
