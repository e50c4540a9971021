package command

import "maps"

// actions is what every request of the catalog does, by the request's name.
func actions() map[string]action {
	all := make(map[string]action)
	for _, area := range []map[string]action{
		loginActions(), peopleActions(), sessionActions(), messageActions(), groupActions(), tokenActions(), fileActions(),
	} {
		maps.Copy(all, area)
	}
	return all
}
