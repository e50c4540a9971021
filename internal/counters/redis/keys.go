package redis

import (
	"strconv"
	"strings"

	"github.com/redis/rueidis"
)

// The keys of the original server. Letters stand for numbers of users (U) and groups (G):
//
//	unread_U              a hash: peer -> how many messages of theirs are unread
//	G_im_group_msg        a hash: "count" -> how many messages the group has
//	U_G_im_user_group     a hash: "count" -> how many of them the user has seen
//	group_member_G        a hash: member -> when they joined
//	group_set_G           a hash: member and "_1" -> the mute value
//	device_U              the user's push token with its platform
//	device_TOKEN          whose token it is
//	msg_id_R              the last id of a pair, by its relation
//	group_msg_id_G        the last id of a group

func unreadKey(user uint32) string { return "unread_" + decimal(user) }
func countKey(group uint32) string { return decimal(group) + "_im_group_msg" }
func levelKey(user, group uint32) string {
	return decimal(user) + "_" + decimal(group) + "_im_user_group"
}
func membersKey(group uint32) string { return "group_member_" + decimal(group) }
func mutesKey(group uint32) string   { return "group_set_" + decimal(group) }
func deviceKey(user uint32) string   { return "device_" + decimal(user) }
func tokenKey(token string) string   { return "device_" + token }

// muteSuffix ends the fields of group_set_G.
const muteSuffix = "_1"

// parseMutes reads a whole group_set_G.
func parseMutes(r rueidis.RedisMessage) map[uint32]uint32 {
	fields, err := r.AsStrMap()
	if err != nil {
		return nil
	}
	mutes := make(map[uint32]uint32, len(fields))
	for field, value := range fields {
		name, ok := strings.CutSuffix(field, muteSuffix)
		user, err := strconv.ParseUint(name, 10, 32)
		if v, bad := strconv.ParseUint(value, 10, 32); ok && err == nil && bad == nil {
			mutes[uint32(user)] = uint32(v)
		}
	}
	return mutes
}
