package config

import "testing"

func TestForms(t *testing.T) {
	const bad = ""
	for form, texts := range map[string]map[string]string{ // by text: what becomes of it
		"host": {
			"127.0.0.1": "127.0.0.1", "::1": "::1", "[::1]": "::1",
			"db-1.example.com": "db-1.example.com",
			"my_redis":         "my_redis", "300.1.1.1": bad, "1": bad, "a:1": bad, "a b": bad,
			"-a": bad, "a..b": bad, "http://a": bad,
		},
		"address": {
			"a:1": "a:1", "[::1]:6379": "[::1]:6379", "a": bad, ":1": bad, "a:0": bad,
			"a:65536": bad, "::1:6379": bad,
		},
		"listen": {"127.0.0.1:0": "127.0.0.1:0", ":10601": ":10601", "10601": bad, "a:x": bad},
		"site": {
			"127.0.0.1": "http://127.0.0.1/", "files:8700": "http://files:8700/",
			"http://a": "http://a/", "[::1]:80": "http://[::1]:80/",
			"https://a/b/": "https://a/b/", "ftp://a/": bad, "http://": bad, "http://u:p@a/": bad,
			"http://a/?x": bad, "a:0": bad,
		},
	} {
		for text, want := range texts {
			if got, ok := forms[form].read(text); ok != (want != bad) || ok && got != want {
				t.Errorf("%s %q becomes %q, %v; want %q", form, text, got, ok, want)
			}
		}
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]Size{"0": 0, "17": 17, "1KiB": 1024, "16 MiB": 16 << 20,
		"3B": 3, "8388607TiB": 8388607 << 40} {
		if got, ok := parseSize(text); !ok || got != want {
			t.Errorf("%q is %d, %v", text, got, ok)
		}
		if again, ok := parseSize(want.String()); !ok || again != want {
			t.Errorf("%d is written %s", want, want)
		}
	}
	for _, text := range []string{"", "MiB", "-1", "1.5MiB", "8388608TiB", "9223372036854775808",
		"1MB", "x"} {
		if got, ok := parseSize(text); ok {
			t.Errorf("%q is %d", text, got)
		}
	}
}
