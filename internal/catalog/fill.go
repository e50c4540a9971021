package catalog

import (
	"fmt"
	"strconv"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Now is what Default says of a field that stands for the present time, in Unix seconds.
const Now = "now"

// Default returns what a required field gets when a person leaves it out, as text; an enum's value
// is given by its name. Only fields with a natural value have a default, such as the present time
// or "from the beginning"; ok is false for all others.
func Default(f protoreflect.FieldDescriptor) (text string, ok bool) {
	if f.Cardinality() != protoreflect.Required {
		return "", false
	}
	switch f.Name() {
	case "msg_id", "msg_id_begin", "latest_update_time", "version":
		return "0", true
	case "msg_cnt":
		return "20", true
	case "create_time":
		return Now, true
	case "msg_type":
		return "MSG_TYPE_SINGLE_TEXT", true
	case "session_type":
		return "SESSION_TYPE_SINGLE", true
	case "group_avatar":
		return "", true
	case "user_id":
		switch f.Parent().Name() { // for these it does not matter who asks
		case "IMUsersInfoReq", "IMAllUserReq", "IMDepartmentReq", "IMGroupInfoListReq":
			return "0", true
		}
	}
	if f.HasDefault() && f.Enum() != nil {
		return string(f.DefaultEnumValue().Name()), true
	}
	return "", false
}

// Fill gives every required field that is not set its default, also in the messages that m holds.
// It returns the paths of the fields that have no default, such as group_version_list[0].group_id,
// in the order of the .proto file.
func Fill(m proto.Message, now time.Time) (missing []string) {
	return fill(m.ProtoReflect(), now, "")
}

func fill(m protoreflect.Message, now time.Time, path string) (missing []string) {
	for i := range m.Descriptor().Fields().Len() {
		f := m.Descriptor().Fields().Get(i)
		at := path + string(f.Name())
		if m.Has(f) {
			if f.IsList() && f.Message() != nil {
				for j := range m.Get(f).List().Len() {
					item := m.Get(f).List().Get(j).Message()
					missing = append(missing, fill(item, now, fmt.Sprintf("%s[%d].", at, j))...)
				}
			}
			continue
		}
		if f.Cardinality() != protoreflect.Required {
			continue
		}
		if text, ok := Default(f); !ok {
			missing = append(missing, at)
		} else if v, err := valueOf(f, text, now); err != nil {
			missing = append(missing, at)
		} else {
			m.Set(f, v)
		}
	}
	return missing
}

// valueOf returns a field's default as a value.
func valueOf(
	f protoreflect.FieldDescriptor, text string, now time.Time,
) (protoreflect.Value, error) {
	switch f.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(text), nil
	case protoreflect.EnumKind:
		v := f.Enum().Values().ByName(protoreflect.Name(text))
		if v == nil {
			return protoreflect.Value{}, fmt.Errorf("%s has no value %s", f.Enum().Name(), text)
		}
		return protoreflect.ValueOfEnum(v.Number()), nil
	case protoreflect.Uint32Kind:
		if text == Now {
			return protoreflect.ValueOfUint32(uint32(now.Unix())), nil
		}
		n, err := strconv.ParseUint(text, 10, 32)
		return protoreflect.ValueOfUint32(uint32(n)), err
	default:
		return protoreflect.Value{}, fmt.Errorf("%s: no defaults for %s", f.FullName(), f.Kind())
	}
}
