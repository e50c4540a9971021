package config

import (
	"path/filepath"
	"strings"
	"testing"
)

// secretFile is a file with a secret.
func secretFile(t *testing.T, text string) string {
	t.Helper()
	return fileOf(t, text, 0o600)
}

func TestWhatGoesFirst(t *testing.T) {
	first, second := secretFile(t, "first\n"), secretFile(t, "second\r\n")
	const key, env = "teamtalk_master_password", "DBPROXY_TEAMTALK_MASTER_PASSWORD"
	inFile := strings.ReplaceAll(original, key+"=", key+fileSuffix+"="+first+"\nold_password=")
	for _, c := range []struct {
		name, text string
		env        []string
		want, from string
	}{
		{"the file", original, nil, "s3=cret", "line 14"},
		{"a file that the file names", inFile, nil, "first", "line 14, " + first},
		{"the variable before the file", original, []string{env + "= a # b "}, " a # b ", env},
		{"the variable before a file", inFile, []string{env + "=x"}, "x", env},
		{"a file that a variable names before all", original,
			[]string{env + fileSuffix + "=" + second}, "second", env + fileSuffix + ", " + second},
		{"also before another file", inFile, []string{env + fileSuffix + "=" + second}, "second",
			env + fileSuffix + ", " + second},
		{"an empty variable is absent", original, []string{env + "=", env + fileSuffix + "="},
			"s3=cret", "line 14"},
		{"the first of equal variables", original, []string{env + "=1", env + "=2"}, "1", env},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg, _ := loaded(t, c.text, c.env...)
			if got := cfg.Master.Password.Reveal(); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
			for _, s := range cfg.Settings() {
				if s.Key == key && s.From != c.from {
					t.Errorf("from %q, want %q", s.From, c.from)
				}
			}
		})
	}
}

func TestTheEnvironmentAloneIsEnough(t *testing.T) {
	var env []string
	for _, e := range parse([]byte(original)).entries {
		env = append(env, envPrefix+strings.ToUpper(e.key)+"="+e.value)
	}
	c, warnings, err := Load("", env, nil)
	if err != nil || len(warnings) > 0 {
		t.Fatal(warnings, err)
	}
	checkOriginal(t, c)
	_, _, err = Load("", env[1:], nil)
	if err == nil || err.Error() != "the environment has a mistake:\n  the environment: ListenIP "+
		"is missing; add ListenIP=127.0.0.1" {
		t.Error(err)
	}
}

func TestEveryKeyCanBeSetInTheEnvironment(t *testing.T) {
	c, _ := loaded(t, original, "DBPROXY_LISTENPORT=1", "DBPROXY_UNREAD_CALL_TIMEOUT=1s",
		"DBPROXY_LOGLEVEL=WARN",
		"DBPROXY_ADMINLISTEN=Off", "DBPROXY_SHIELDTIMEZONE=Asia/Shanghai", "DBPROXY_MAXFRAME=1 MiB")
	if c.ListenPort != 1 || c.Unread.CallTimeout.String() != "1s" ||
		c.LogLevel.String() != "WARN" || c.AdminListen != "" ||
		c.ShieldTimeZone.String() != "Asia/Shanghai" || c.Limits.MaxFrame != 1<<20 {
		t.Errorf("%+v", c)
	}
	for _, want := range []string{"\nAdminListen=off\n", "\nLogLevel=warn\n", "\nMaxFrame=1MiB\n"} {
		if !strings.Contains(lines(c), want) {
			t.Errorf("%q is not in:\n%s", want, lines(c))
		}
	}
}

func TestSecretFilesThatAreWrong(t *testing.T) {
	const env = "DBPROXY_TEAMTALK_MASTER_PASSWORD_FILE="
	for name, path := range map[string]string{
		"missing": filepath.Join(t.TempDir(), "nothing"), "empty": secretFile(t, "\n"),
		"huge": secretFile(t, strings.Repeat("x", maxSecret+1)), "a directory": t.TempDir(),
	} {
		_, _, err := load(File, []byte(original), []string{env + path})
		if err == nil || !strings.Contains(err.Error(),
			"\n  DBPROXY_TEAMTALK_MASTER_PASSWORD_FILE: ") ||
			strings.Count(err.Error(), "\n") != 1 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestASecretFileLiesBesideTheConfigurationThatNamesIt reads a configuration of another directory.
func TestASecretFileLiesBesideTheConfigurationThatNamesIt(t *testing.T) {
	secret := secretFile(t, "beside\n")
	dir, name := filepath.Split(secret)
	text := strings.Replace(original, "teamtalk_master_password=", "teamtalk_master_password_FILE="+
		name+"\n#", 1)
	c, _, err := load(filepath.Join(dir, "my.conf"), []byte(text), nil)
	if err != nil || c.Master.Password.Reveal() != "beside" {
		t.Errorf("%v", err)
	}
	_, _, err = load(filepath.Join(dir, "none", "my.conf"), []byte(text), nil)
	if err == nil || !strings.Contains(err.Error(), filepath.Join(dir, "none", name)) {
		t.Errorf("it does not say where it looked: %v", err)
	}
}
