package config

import (
	"slices"
	"strings"
	"testing"
)

func TestTypesAreNumbersOfAByte(t *testing.T) {
	for text, want := range map[string][]uint8{
		"": nil, "19": {19}, "3,4,5": {3, 4, 5}, " 19 , 3 ": {3, 19}, "255,1,255": {1, 255},
	} {
		c, warnings := loaded(t, original+"\nMessageTypes="+text+"\n")
		if got := c.Limits.MessageTypes.List(); !slices.Equal(got, want) || len(warnings) > 0 {
			t.Errorf("%q is read as %d, with %v", text, got, warnings)
		}
	}
	const wanted = "numbers from 1 to 255, separated by commas"
	for _, text := range []string{"0", "256", "-1", "x", "3;4", "3,,4", ",", "3-8", "3 4", "0x13"} {
		_, _, err := load("dbproxyserver.conf", []byte(original+"\nGroupTypes="+text+"\n"), nil)
		if err == nil || !strings.Contains(err.Error(), wanted) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
