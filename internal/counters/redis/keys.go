package redis

import (
	"strconv"
	"strings"

	"github.com/redis/rueidis"
)

// The original server's keys: SPEC.md, section 5.

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
func parseMutes(r rueidis.RedisResult) map[uint32]uint32 {
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
