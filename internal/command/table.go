package command

import "maps"

// actions are the actions of all requests of the catalog, by the request's name.
func actions() map[string]action {
	all := make(map[string]action)
	for _, area := range []map[string]action{
		loginActions(), peopleActions(), sessionActions(), messageActions(), groupActions(),
		tokenActions(), fileActions(),
	} {
		maps.Copy(all, area)
	}
	return all
}
