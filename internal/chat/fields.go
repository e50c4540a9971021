package chat

import "slices"

// UserField is one thing known of a person that an administrator may set. Flags, CSV files, lists,
// checks and SQL all go by UserFields: a new one is a field of User, an entry there, and a column
// in the schema of the records.
type UserField struct {
	Name   string // of its flag, of its column in a CSV file, and in errors
	Column string // of the table IMUser
	About  string // what it is; the name of its value stands in back quotes
	// Default says what a new person has of whom nothing else is said; "" for nothing.
	Default string
	// Own is set for what people set themselves, by their clients: it is not asked for when an
	// administrator makes them.
	Own bool
	// At returns where a user has it: a *string or a *uint32.
	At func(*User) any

	max   int                                    // of a text, in the units of check
	check func(what, text string, max int) error // refuses a text that cannot be stored
}

var userFields = []UserField{
	{Name: "name", Column: "name", About: "the `name` to log in with",
		At: func(u *User) any { return &u.Name }, max: MaxUserName, check: checkName},
	{Name: "nick", Column: "nick", About: "the `name` that others see", Default: "the same",
		At: func(u *User) any { return &u.Nick }, max: 32, check: checkName},
	{Name: "domain", Column: "domain", About: "the `name` in Latin letters", Default: "the same",
		At: func(u *User) any { return &u.Domain }, max: 32, check: checkName},
	{Name: "department", Column: "departId", About: "the id or `name` of a department",
		Default: "none",
		At:      func(u *User) any { return &u.Department }},
	{Name: "sex", Column: "sex", About: "the `sex`: male, female or unknown",
		At: func(u *User) any { return &u.Sex }},
	{Name: "phone", Column: "phone", About: "the phone `number`, at most 11 characters",
		At: func(u *User) any { return &u.Phone }, max: 11, check: checkLine},
	{Name: "email", Column: "email", About: "the e-mail `address`",
		At: func(u *User) any { return &u.Email }, max: 64, check: checkLine},
	{Name: "avatar", Column: "avatar", About: "the `URL` of a picture", Own: true,
		At: func(u *User) any { return &u.Avatar }, max: MaxAvatar, check: checkLine},
	{Name: "signature", Column: "sign_info", About: "the personal `text`, at most 128 bytes",
		Own: true,
		At:  func(u *User) any { return &u.Signature }, max: MaxSignature, check: checkBytes},
}

// UserFields are all fields, in the order in which people see them.
func UserFields() []UserField { return slices.Clone(userFields) }

// CheckUser refuses a user that the tables could not hold as given. The commands of an
// administrator, which make users, call it.
func CheckUser(u User) error {
	if u.Name == "" {
		return errNoName
	}
	return CheckUserChange(User{}, u)
}

// CheckUserChange is CheckUser for those fields of u that differ from old: a change is not refused
// because of another field that somebody else has written before.
func CheckUserChange(old, u User) error {
	if u.Name == "" && old.Name != "" {
		return errNoName
	}
	for _, f := range userFields {
		text, isText := f.At(&u).(*string)
		if isText && *text != *f.At(&old).(*string) {
			if err := f.check(f.Name, *text, f.max); err != nil {
				return err
			}
		}
	}
	return nil
}

// Size is how many bytes the user takes in an answer, at the most.
func (u *User) Size() int {
	size := 48
	for i := range userFields {
		if text, isText := userFields[i].At(u).(*string); isText {
			size += len(*text)
		}
	}
	return size
}
