package redis

import "github.com/teamtalk-go/dbproxy/internal/counters/link"

// The scripts change keys of the original server. KEYS[1] is the key, KEYS[2] its companion, a hash
// of ours. Each script is atomic, so that key and companion never disagree. The fields of
// companions are:
//
//	epoch   the epoch in which the key was last made complete from the records
//	rev     the revision of which the key was complete then; it has all changes up to that
//	N       (a peer, a user or "count") the revision that was applied last; of counts also the
//	        count of the records at that revision
//
// A revision here is the epoch times 2^32 plus the revision of the talk in the records. So what was
// noted in an earlier epoch is older than everything in this one, even if the records were set back
// since. Of a revision, unknown says that the records do not know the talk. blind says that they
// began to count it from 0, without knowing what is counted here: see blind in ids.go. Numbers are
// below 2^53 and exact; num writes them without an exponent.
const prelude = `
local function num(n) return string.format('%.0f', n) end
local function unknown(rev) return rev % 4294967296 == 0 end
local function blind(rev) return rev % 4294967296 >= 2147483648 end
local function get(field) return redis.call('HGET', KEYS[2], field) or nil end
local function done(field)
  local rev, abs = string.match(get(field) or '', '^(%d+) ?(%d*)$')
  return tonumber(rev), tonumber(abs)
end
local function before(field, rev)
  local drev, abs = done(field)
  if drev and unknown(drev) and blind(rev) then abs = 0 end -- noted by an adopt that nobody waited for any more
  return drev, abs
end
`

// nextIDs: ARGV epoch, how many ids, floor, "1" if the floor was checked, the largest id. It
// returns the first id, or 0 when it has reserved nothing.
var nextIDs = link.NewScript(prelude, `
local count, floor, max = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[5])
local last = tonumber(redis.call('GET', KEYS[1]) or '')
local good = last and last >= floor and last + count <= max
if ARGV[4] == '1' then
  if not good then last = floor end
  if ARGV[1] ~= '0' then redis.call('HSET', KEYS[2], 'epoch', ARGV[1]) end
elseif not good or ARGV[1] == '0' or get('epoch') ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], num(last + count))
return last + 1
`)

// giveBack: ARGV the last id of a block, its size. It returns 1, and gives nothing back, when ids
// after the block were given out.
var giveBack = link.NewScript(prelude, `
if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('SET', KEYS[1], num(tonumber(ARGV[1]) - tonumber(ARGV[2])))
  return 0
end
return 1
`)

// raise: ARGV a number. A value below it becomes that number.
var raise = link.NewScript(prelude, `
local now = tonumber(redis.call('GET', KEYS[1]) or '')
if not now or now < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], ARGV[1]) end
return 0
`)

// adopt, for unread_U and G_im_group_msg: ARGV the revision of nothing, peer or "count". It returns
// what is counted there, and from which count and revision the records begin. As a rule they begin
// from what is counted there, with no revision. That is noted, so that their first changes may come
// in any order. But if they have counted the talk before in this epoch, and lost its row since,
// they go on from what they had, and that stays noted.
var adopt = link.NewScript(prelude, `
local there, drev, abs = tonumber(redis.call('HGET', KEYS[1], ARGV[2]) or '') or 0, done(ARGV[2])
if there < 0 or there > 4294967295 then there = 0 end
if drev and abs and not unknown(drev) and drev > tonumber(ARGV[1]) then return {num(there), num(abs), num(drev % 4294967296)} end
redis.call('HSET', KEYS[2], ARGV[2], ARGV[1] .. ' ' .. num(there))
return {num(there), num(there), '0'}
`)

// movePair, for unread_U: ARGV peer, revision, "1" if all was read, unread before, unread.
var movePair = link.NewScript(prelude, `
local peer, rev, unread = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[5])
local drev, abs = before(peer, rev)
if drev and drev >= rev then return 0 end
local now = tonumber(redis.call('HGET', KEYS[1], peer) or '')
if ARGV[3] == '1' then now = unread
elseif drev and abs then now = (now or 0) + unread - abs
elseif now then now = now + unread - tonumber(ARGV[4])
else now = unread end
if now > 0 then redis.call('HSET', KEYS[1], peer, num(now)) else redis.call('HDEL', KEYS[1], peer) end
if not unknown(rev) then redis.call('HSET', KEYS[2], peer, ARGV[2] .. ' ' .. ARGV[5]) end
return 0
`)

// moveCount, for G_im_group_msg: ARGV revision, count before, count. It returns the count at that
// revision.
var moveCount = link.NewScript(prelude, `
local rev, count = tonumber(ARGV[1]), tonumber(ARGV[3])
local there = tonumber(redis.call('HGET', KEYS[1], 'count') or '')
if unknown(rev) then return there or 0 end
local drev, abs = before('count', rev)
if drev and abs and drev >= rev then return (there or 0) + count - abs end
local now
if drev and abs then now = (there or 0) + count - abs
elseif there then now = there + count - tonumber(ARGV[2])
else now = count end
if now > 0 or there then redis.call('HSET', KEYS[1], 'count', num(now)) end
redis.call('HSET', KEYS[2], 'count', ARGV[1] .. ' ' .. ARGV[3])
return now
`)

// moveLevel, for U_G_im_user_group: ARGV revision, level.
var moveLevel = link.NewScript(prelude, `
local rev, drev = tonumber(ARGV[1]), (done('count'))
if drev and drev >= rev then return 0 end
redis.call('HSET', KEYS[1], 'count', ARGV[2])
if not unknown(rev) then redis.call('HSET', KEYS[2], 'count', ARGV[1]) end
return 0
`)

// moveFields, for group_member_G and group_set_G: ARGV epoch, revision, "1" if the group is new and
// this is all of it, suffix, then pairs of user and value; an empty value removes. It returns 1
// when the key was complete.
var moveFields = link.NewScript(prelude, `
local rev, base = tonumber(ARGV[2]), tonumber(get('rev') or '') or 0
for i = 5, #ARGV, 2 do
  local user, value = ARGV[i], ARGV[i + 1]
  if math.max(base, (done(user)) or 0) < rev then
    if value == '' then redis.call('HDEL', KEYS[1], user .. ARGV[4])
    else redis.call('HSET', KEYS[1], user .. ARGV[4], value) end
    redis.call('HSET', KEYS[2], user, ARGV[2])
  end
end
if ARGV[3] == '1' and ARGV[1] ~= '0' then redis.call('HSET', KEYS[2], 'epoch', ARGV[1]) end
if ARGV[1] == '1' or get('epoch') == ARGV[1] then return 1 end
return 0
`)

// fillFields makes such a key complete: ARGV epoch, revision, suffix, then pairs of user and value.
var fillFields = link.NewScript(prelude, `
local rev, base = tonumber(ARGV[2]), tonumber(get('rev') or '') or 0
if base > rev and get('epoch') == ARGV[1] then return 0 end
local wanted = {}
for i = 4, #ARGV, 2 do wanted[ARGV[i]] = ARGV[i + 1] end
local function old(user) return ((done(user)) or 0) <= rev end
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  local user = string.match(field, '^(%d+)') or ''
  if not wanted[user] and old(user) then redis.call('HDEL', KEYS[1], field) end
end
for user, value in pairs(wanted) do
  if old(user) then redis.call('HSET', KEYS[1], user .. ARGV[3], value) end
end
redis.call('HMSET', KEYS[2], 'rev', ARGV[2], 'epoch', ARGV[1])
return 1
`)

// fillPairs: ARGV epoch, then triples of peer, unread, revision.
var fillPairs = link.NewScript(prelude, `
for i = 2, #ARGV, 3 do
  local peer, unread, rev = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  if ((done(peer)) or 0) <= tonumber(rev) then
    if unread == '0' then redis.call('HDEL', KEYS[1], peer) else redis.call('HSET', KEYS[1], peer, unread) end
    redis.call('HSET', KEYS[2], peer, rev .. ' ' .. unread)
  end
end
redis.call('HSET', KEYS[2], 'epoch', ARGV[1])
return 1
`)

// fillCount, for G_im_group_msg and U_G_im_user_group: ARGV epoch, count or level, revision.
// Without a revision the records do not count the group, and what is there stays.
var fillCount = link.NewScript(prelude, `
local rev = tonumber(ARGV[3])
if not unknown(rev) and ((done('count')) or 0) <= rev then
  if ARGV[2] == '0' then redis.call('HDEL', KEYS[1], 'count') else redis.call('HSET', KEYS[1], 'count', ARGV[2]) end
  redis.call('HSET', KEYS[2], 'count', ARGV[3] .. ' ' .. ARGV[2])
end
redis.call('HSET', KEYS[2], 'epoch', ARGV[1])
return 1
`)

// moveDevice, for device_U: ARGV epoch, revision, text. It returns what was there before, or false
// when a later change was applied.
var moveDevice = link.NewScript(prelude, `
local rev, drev = tonumber(ARGV[2]), tonumber(get('rev') or '') or 0
if drev > rev then return false end
local before = redis.call('GET', KEYS[1]) or ''
if drev % 4294967296 == rev % 4294967296 and before == ARGV[3] then
  return get('before') or '' -- applied before, but the tokens may not have been linked yet
end
redis.call('SET', KEYS[1], ARGV[3])
redis.call('HMSET', KEYS[2], 'rev', ARGV[2], 'before', before)
if ARGV[1] ~= '0' then redis.call('HSET', KEYS[2], 'epoch', ARGV[1]) end
return before
`)

// fillDevice: ARGV epoch, revision, text.
var fillDevice = link.NewScript(prelude, `
local rev = tonumber(ARGV[2])
if not unknown(rev) and (tonumber(get('rev') or '') or 0) <= rev then
  redis.call('SET', KEYS[1], ARGV[3])
  redis.call('HSET', KEYS[2], 'rev', ARGV[2])
end
redis.call('HSET', KEYS[2], 'epoch', ARGV[1])
return 1
`)

// unlink, for device_TOKEN: the token is nobody's any more.
var unlink = link.NewScript(prelude, `
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= '' then redis.call('SET', KEYS[1], '') end
return 0
`)

// raiseBeat, for dbproxy:epoch: ARGV id, beat, the beat that was seen. Where the id is another, or
// the beat is older than what was seen, it does nothing, so that the loss is noticed; nor does it
// where the beat is as high already. It returns what is there afterwards.
var raiseBeat = link.NewScript(prelude, `
local value = redis.call('GET', KEYS[1]) or ''
local id, beat = string.match(value, '^(%d+) (%d+)$')
if id ~= ARGV[1] or tonumber(beat) < tonumber(ARGV[3]) or tonumber(beat) >= tonumber(ARGV[2]) then return value end
redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. ARGV[2])
return ARGV[1] .. ' ' .. ARGV[2]
`)

// setEpoch, for dbproxy:epoch: ARGV id, beat. Neither ever goes back. It returns what is there
// afterwards.
var setEpoch = link.NewScript(prelude, `
local id, beat = string.match(redis.call('GET', KEYS[1]) or '', '^(%d+) (%d+)$')
id, beat = tonumber(id) or 0, tonumber(beat) or 0
local wid, wbeat = tonumber(ARGV[1]), tonumber(ARGV[2])
if wid > id then id, beat = wid, wbeat
elseif wid == id then beat = math.max(beat, wbeat) end
redis.call('SET', KEYS[1], num(id) .. ' ' .. num(beat))
return num(id) .. ' ' .. num(beat)
`)
