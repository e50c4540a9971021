package checkup

// GroupMember is a member of a replication group.
type GroupMember = groupMember

// NewGroupMember is one as its server shows it.
func NewGroupMember(id, addr, state, role string) GroupMember {
	return groupMember{id, addr, state, role}
}

// GroupFindings is what a check says of a member whose variables are vars.
var GroupFindings = groupFindings
