{{/* Maps laid over one another, key by key, the last one on top. Helm's own `merge` takes false and 0 for unsaid. */}}
{{- define "so1s.overlaid" -}}
{{- $all := dict -}}
{{- range $map := . }}{{ range $key, $value := $map }}{{ if not (kindIs "invalid" $value) }}{{ $_ := set $all $key $value }}{{ end }}{{ end }}{{ end -}}
{{- toJson $all -}}
{{- end -}}

{{/* What a service is told: the chart's own defaults, then what all are told, then what it alone is told. */}}
{{- define "so1s.settings" -}}
{{- $own := dict "database_schema" (printf "so1s_%s" .name) -}}
{{- $_ := set $own "namespace_prefix" (printf "%s-account-" .root.Release.Name) -}}
{{- if eq .name "router" }}{{ $_ := set $own "istio_namespace" .root.Release.Namespace }}{{ end -}}
{{- if eq .name "console" }}{{ $_ := set $own "builder_url" (printf "http://%s-builder:8000" .root.Release.Name) }}{{ end -}}
{{- $said := include "so1s.overlaid" (list $own .root.Values.settings .service.settings) | fromJson -}}
{{- $_ := set $said "http_port" (.service.port | default 8000) -}}
{{- if not (regexMatch "^[a-z0-9-]{1,20}$" (toString $said.namespace_prefix)) -}}
{{- fail (printf "namespace_prefix: %s is not allowed; allowed: at most 20 of a-z, 0-9 and -, so say one in settings where the release's name is longer than 11" $said.namespace_prefix) -}}
{{- end -}}
{{- if hasPrefix (toString $said.namespace_prefix) .root.Release.Namespace -}}
{{- fail (printf "namespace_prefix: %s is not allowed; the release's namespace %s would be an account's" $said.namespace_prefix .root.Release.Namespace) -}}
{{- end -}}
{{- toJson $said -}}
{{- end -}}

{{- define "so1s.labels" -}}
app.kubernetes.io/name: so1s-{{ .name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/part-of: so1s
app.kubernetes.io/version: {{ .root.Values.image.tag | default .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{- define "so1s.selector" -}}
app.kubernetes.io/name: so1s-{{ .name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end -}}

{{/* Whether a service asks Kubernetes for anything. */}}
{{- define "so1s.usesCluster" -}}
{{- $said := include "so1s.settings" . | fromJson -}}
{{- if or (eq (toString $said.cluster) "kubernetes") (eq (toString $said.mesh) "istio") (eq (toString $said.source) "cluster") -}}
yes
{{- end -}}
{{- end -}}
