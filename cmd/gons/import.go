package main

import (
	"github.com/spf13/cobra"

	"gons/internal/config"
	"gons/internal/safepath"
)

func newImport() *cobra.Command {
	var how config.Reading
	cmd := &cobra.Command{
		Use:   "import [FILE]",
		Short: "Print the gons.yaml that means what namespace.conf means",
		Long: `Reads pam_namespace's /etc/security/namespace.conf and namespace.d, or one FILE in their grammar, and prints the
gons.yaml that makes the same of every login, comments included. Nothing is changed.`,
		Example: "  gons import >draft.yaml && gons check draft.yaml && install -m 644 draft.yaml /etc/security/gons.yaml",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			file := ""
			if len(args) == 1 {
				file = args[0]
			}
			return importConf(cmd, file, how)
		},
	}
	readingFlags(cmd, &how)
	return cmd
}

func importConf(cmd *cobra.Command, file string, how config.Reading) error {
	root, err := safepath.OpenRoot()
	if err != nil {
		return err
	}
	defer root.Close()
	if file, err = absolute(file); err != nil {
		return err
	}
	var yaml []byte
	var warnings []config.Warning
	distrust, err := readTrusting(root, file, func(files config.Files) (err error) {
		if file == "" {
			yaml, warnings, err = config.Import(files, config.Default, how)
		} else {
			yaml, warnings, err = config.ImportFile(files, file, how)
		}
		return err
	})
	if err != nil {
		return listProblems(cmd, err)
	}
	if distrust != "" {
		warn(cmd, distrust)
	}
	for _, w := range warnings {
		warn(cmd, w.String())
	}
	_, err = cmd.OutOrStdout().Write(yaml)
	return err
}
