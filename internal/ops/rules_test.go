package ops_test

import (
	"flag"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// The alerts, examples of when each fires, and the document that shows them.
const (
	rulesFile  = "../../deploy/prometheus/dbproxy.rules.yml"
	rulesTests = "../../deploy/prometheus/dbproxy.rules.test.yml"
	operations = "../../docs/operations.md"
)

var update = flag.Bool("update", false, "write what documents show of other files")

// TestRules has Prometheus' own tool look at the alerts, and run the examples.
func TestRules(t *testing.T) {
	for _, args := range [][]string{{"check", "rules", rulesFile}, {"test", "rules", rulesTests}} {
		out, err := exec.CommandContext(t.Context(), "promtool", args...).CombinedOutput()
		if err != nil {
			t.Errorf("promtool %s: %v (test/install-servers installs it)\n%s",
				strings.Join(args, " "), err, out)
		}
	}
}

// TestEveryAlertHasAnExample: of when it fires, and of when it does not.
func TestEveryAlertHasAnExample(t *testing.T) {
	tests := read(t, rulesTests)
	alerts := regexp.MustCompile(`- alert: (\w+)`).FindAllStringSubmatch(read(t, rulesFile), -1)
	if len(alerts) == 0 {
		t.Fatal("there are no alerts")
	}
	for _, a := range alerts {
		fires := regexp.MustCompile(`alertname: ` + a[1] + `\n +exp_alerts:`)
		quiet := regexp.MustCompile(`alertname: ` + a[1] + `\n +- eval_time`)
		if !fires.MatchString(tests) || !quiet.MatchString(tests) {
			t.Errorf("%s does not show when %s fires, and when not", rulesTests, a[1])
		}
	}
}

// TestOperationsShowsTheRules: docs/operations.md has the alerts as they are.
func TestOperationsShowsTheRules(t *testing.T) {
	text := read(t, operations)
	const begin, end = "`go generate ./internal/ops`. -->\n```yaml\n", "```\n"
	before, rest, found := strings.Cut(text, begin)
	shown, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatal("docs/operations.md does not show the alerts where this test looks for them")
	}
	rules := read(t, rulesFile)
	if shown == rules {
		return
	}
	if !*update {
		t.Fatal("docs/operations.md does not show the alerts as they are: run \"go generate " +
			"./internal/ops\"")
	}
	if err := os.WriteFile(operations, []byte(before+begin+rules+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestRulesNameMetrics: what the alerts and their examples ask for is there.
func TestRulesNameMetrics(t *testing.T) {
	there := metrics()
	for _, file := range []string{rulesFile, rulesTests} {
		for _, name := range mentioned.FindAllString(read(t, file), -1) {
			if !there[name] && !there[series.ReplaceAllString(name, "")] {
				t.Errorf("%s speaks of %s, which does not exist", file, name)
			}
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
