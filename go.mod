module gons

go 1.24.0

require (
	github.com/msteinert/pam/v2 v2.1.0
	golang.org/x/sys v0.41.0
	gopkg.in/yaml.v3 v3.0.1
)
