package people

import (
	"strings"

	"github.com/teamtalk-go/dbproxy/internal/chat"
)

// userFields are the columns of IMUser that an administrator sets.
var userFields = chat.UserFields()

// UserColumns are what is read of every user: see UserAt.
var UserColumns = "id,updated,COALESCE(status,0)," + strings.Join(fieldColumns(), ",")

// fieldColumns are the names of the columns of userFields.
func fieldColumns() []string {
	names := make([]string, len(userFields))
	for i, f := range userFields {
		names[i] = f.Column
	}
	return names
}

// UserAt are where u has what stands in UserColumns.
func UserAt(u *chat.User) []any {
	return append([]any{&u.ID, &u.Updated, &u.Status}, fieldsOf(u)...)
}

// fieldsOf are where u has what stands in fieldColumns.
func fieldsOf(u *chat.User) []any {
	at := make([]any, len(userFields))
	for i, f := range userFields {
		at[i] = f.At(u)
	}
	return at
}

// setColumns are what is written of a user, old or new.
var setColumns = append(fieldColumns(), "status", "password", "salt", "updated")

// setValues are the values of setColumns.
func setValues(u *chat.User, now uint32) []any {
	values := fieldsOf(u)
	for i, at := range values {
		switch at := at.(type) {
		case *string:
			values[i] = *at
		case *uint32:
			values[i] = *at
		}
	}
	return append(values, u.Status, u.Password, u.Salt, now)
}
