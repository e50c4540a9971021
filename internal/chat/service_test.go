package chat_test

import (
	"reflect"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// TestNobodyPassesTheRules holds the store of a service behind its methods.
func TestNobodyPassesTheRules(t *testing.T) {
	t.Parallel()
	for _, rules := range []reflect.Type{
		reflect.TypeFor[chat.Service](), reflect.TypeFor[chat.Administration](),
	} {
		for _, f := range reflect.VisibleFields(rules) {
			if f.IsExported() && f.Type != reflect.TypeFor[chat.Administration]() {
				t.Errorf("%s has the field %s, through which all its users reach past the rules",
					rules, f.Name)
			}
		}
	}
}
