package redis

import (
	"context"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/counters/link"
)

// Devices returns the push tokens of users that have any, in one pipeline. What was lost is filled
// from the records.
func (r *Copy) Devices(ctx context.Context, users []uint32) (map[uint32]string, error) {
	if len(users) == 0 {
		return nil, nil
	}
	q := about(r.token)
	for _, user := range users {
		q.read("GET", deviceKey(user))
	}
	if err := r.consult(ctx, &q); err != nil {
		return nil, err
	}
	devices := make(map[uint32]string, len(users))
	var lost []uint32
	for i, user := range users {
		if device, err := q.answer(i).ToString(); err == nil {
			devices[user] = device
		}
		if !q.complete(i) {
			lost = append(lost, user)
		}
	}
	if len(lost) == 0 {
		return devices, nil
	}
	at, err := r.soundEpoch(ctx, &q)
	if err != nil {
		return nil, err
	}
	return devices, r.fillDevices(ctx, at, lost, devices)
}

// fillDevices puts what the records know of users into devices, and into Redis.
func (r *Copy) fillDevices(
	ctx context.Context, at uint32, users []uint32, devices map[uint32]string,
) error {
	known, err := r.records.DevicesNow(ctx, users)
	if err != nil {
		return err
	}
	byUser := make(map[uint32]chat.Device, len(known))
	for _, d := range known {
		byUser[d.User] = d
		devices[d.User] = d.Device
	}
	var commands []link.Command
	for _, user := range users {
		d := byUser[user]
		commands = append(commands, link.Run(fillDevice, deviceKey(user), decimal(at),
			revision(at, d.Rev), d.Device))
		if d.Token != "" {
			commands = append(commands, link.Plain("SETNX", tokenKey(d.Token), decimal(user)))
		}
	}
	if got, err := r.ask(ctx, r.token, at, commands); err == nil {
		r.complain(commands, got.results)
	}
	return nil
}

// applyDevices copies push tokens: in one pipeline those of the users, and in a second one whose
// each token is. The token that a user had before is nobody's then.
func (r *Copy) applyDevices(ctx context.Context, devices []chat.Device) error {
	_, before, err := r.inEpoch(ctx, r.token, func(at uint32) (commands []link.Command) {
		for _, d := range devices {
			commands = append(commands, link.Run(moveDevice, deviceKey(d.User), decimal(at),
				revision(at, d.Rev), d.Device))
		}
		return commands
	})
	if err != nil {
		return err
	}
	_, _, err = r.inEpoch(ctx, r.token, func(uint32) (owners []link.Command) {
		for i, d := range devices {
			device, err := before[i].ToString()
			if err != nil {
				continue // a later change was applied before
			}
			if _, old, ok := chat.SplitDevice(device); ok && old != "" {
				owners = append(owners, link.Run(unlink, tokenKey(old)))
			}
			if d.Token != "" {
				owners = append(owners, link.Plain("SET", tokenKey(d.Token), decimal(d.User)))
			}
		}
		return owners
	})
	return err
}
