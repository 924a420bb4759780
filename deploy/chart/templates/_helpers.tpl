{{/* Names and labels. The release's name is in none: a node has one dataplane. */}}
{{- define "netpath.labels" -}}
app.kubernetes.io/name: netpath
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}

{{- define "netpath.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* A value as TOML writes it: JSON does, but for tables. Helm's own toToml makes floats of numbers. */}}
{{- define "netpath.toml" -}}
{{- if kindIs "map" . -}}
{ {{ range $index, $key := keys . | sortAlpha }}{{ if $index }}, {{ end }}{{ $key }} = {{ include "netpath.toml" (get $ $key) }}{{ end }} }
{{- else -}}
{{ toJson . }}
{{- end -}}
{{- end }}

{{/* The agent's file. */}}
{{- define "netpath.config" -}}
[agent]
# The host mounts the bpf file system: a mount of the container's own would end with it.
mount = false

[log]
level = {{ toJson .Values.log.level }}
format = {{ toJson .Values.log.format }}

[kubernetes]
enabled = true

[services]
mode = {{ toJson .Values.services.mode }}
cidrs = {{ toJson .Values.services.cidrs }}
{{- range $parent := .Values.parents }}

[[parent]]
{{- range $key := keys $parent | sortAlpha }}
{{ $key }} = {{ include "netpath.toml" (get $parent $key) }}
{{- end }}
{{- end }}
{{- with .Values.config }}

{{ trim . }}
{{- end }}
{{- end }}
