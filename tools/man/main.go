// Command man writes manual pages for dbproxy, by cobra's own generator, from what the program says
// of itself: its help, and that of each of its commands.
//
//	go -C tools run ./man PROGRAM DIR
package main

import (
	"bytes"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
	"github.com/spf13/pflag"
)

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: man PROGRAM DIR")
	}
	if err := write(os.Args[1], os.Args[2]); err != nil {
		log.Fatal("manual not written: ", err)
	}
}

func write(program, dir string) error {
	version, err := exec.Command(program, "version").Output()
	if err != nil {
		return err
	}
	release, _, _ := strings.Cut(string(version), " (")
	root, err := describe(program, nil, "")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return pages(root, release, dir)
}

// pages writes the page of a command, and those of the commands below it.
func pages(c *cobra.Command, release, dir string) error {
	var page bytes.Buffer
	head := &doc.GenManHeader{Section: "1", Source: release, Manual: "dbproxy manual"}
	if err := doc.GenMan(c, head, &page); err != nil {
		return err
	}
	name := strings.ReplaceAll(c.CommandPath(), " ", "-") + ".1"
	if err := os.WriteFile(filepath.Join(dir, name), better(page.Bytes()), 0o644); err != nil {
		return err
	}
	for _, sub := range c.Commands() {
		if !sub.IsAvailableCommand() {
			continue // the help that cobra adds
		}
		if err := pages(sub, release, dir); err != nil {
			return err
		}
	}
	return nil
}

// better is a page of cobra's with flags as other manuals have them, text beside name, and without
// words that are broken or spread.
func better(page []byte) []byte {
	for _, change := range []struct{ old, to string }{
		{`(?m)^\.TH .*$`, "$0\n.nh\n.ad l"},
		{`(?m)^(?:\.PP\n)?(\\fB.*)\n\t`, ".TP\n$1\n"},
		{`(?m)\\fP=""$`, `\fP`}, // a switch
		{`(?m)\\fP="(\S+)"$`, `\fP \fI$1\fP`},
	} {
		page = regexp.MustCompile(change.old).ReplaceAll(page, []byte(change.to))
	}
	return page
}

var (
	title = regexp.MustCompile(`^([A-Z][\w ]*):$`)
	flag  = regexp.MustCompile(`^  (?:-(\w), |    )--(\S+)(?: (\S+))?   +(.*)$`)
	row   = regexp.MustCompile(`^  (\S+) +(.*)$`)
)

// describe makes a command as its help describes it, with all commands below it.
func describe(program string, path []string, short string) (*cobra.Command, error) {
	help, err := exec.Command(program, append(path, "--help")...).Output()
	if err != nil {
		return nil, err
	}
	about, rest, _ := strings.Cut(string(help), "\nUsage:\n")
	usage, rest, _ := strings.Cut(rest, "\n")
	words := strings.Fields(usage)
	c := &cobra.Command{
		Use: strings.Join(words[len(path):], " "), Short: short, Long: markdown(about),
		DisableFlagsInUseLine: true, DisableAutoGenTag: true,
		Run: func(*cobra.Command, []string) {},
	}
	if short == "" {
		first, _, _ := strings.Cut(about, ".")
		c.Short = strings.TrimPrefix(first, "dbproxy is ")
	}
	c.Short = strings.ToLower(c.Short[:1]) + c.Short[1:]
	c.SetHelpCommand(&cobra.Command{Use: "no-help", Hidden: true})
	section := ""
	for line := range strings.Lines(rest) {
		line = strings.TrimRight(line, "\n")
		if m := title.FindStringSubmatch(line); m != nil {
			if section = m[1]; section != "Examples" && section != "Flags" && section != "Limits" {
				c.Long += "\n# " + strings.ToUpper(section) + "\n"
			}
			continue
		}
		if line != "" && line[0] != ' ' {
			break // the last line says how to have commands explained
		}
		switch section {
		case "Examples":
			c.Example += strings.TrimPrefix(line, "  ") + "\n"
		case "Flags", "Limits":
			addFlag(c, line)
		default:
			m := row.FindStringSubmatch(line)
			if m == nil {
				continue
			}
			below := append(path[:len(path):len(path)], m[1])
			sub, err := describe(program, below, m[2])
			if err != nil {
				return nil, err
			}
			c.AddCommand(sub)
			c.Long += fmt.Sprintf("\n**%s**\n\t%s; see **dbproxy-%s**(1)\n",
				m[1], m[2], strings.Join(below, "-"))
		}
	}
	c.Example = strings.TrimRight(c.Example, "\n")
	return c, nil
}

// addFlag gives c the flag of a line of help. A line without one goes on with the flag before.
func addFlag(c *cobra.Command, line string) {
	m := flag.FindStringSubmatch(line)
	var last *pflag.Flag
	c.Flags().SortFlags = false
	c.Flags().VisitAll(func(f *pflag.Flag) { last = f })
	switch {
	case m != nil:
		// cobra shows a flag's default; here it is what stands for the value.
		c.Flags().StringP(m[2], m[1], m[3], m[4])
	case last != nil && line != "":
		last.Usage += " " + strings.TrimSpace(line)
	}
}

// markdown has the lines of a text that are indented stay as they are.
func markdown(text string) string {
	var b strings.Builder
	asIs := false
	for line := range strings.Lines(text) {
		indented := strings.HasPrefix(line, "  ")
		if indented != asIs && line != "\n" {
			b.WriteString("\n")
			asIs = indented
		}
		if indented {
			line = "\t" + line[2:]
		}
		b.WriteString(line)
	}
	return b.String()
}
