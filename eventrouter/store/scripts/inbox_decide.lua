-- inbox_decide: decide a request, once: its host starts it, or its sender takes it back.
-- KEYS as inbox_send
-- ARGV 1 request id  2 token: of this one decision, made before the first try  3 keep (ms)
--      4 what: 'start' by the host · 'cancel' by the sender · 'forbid' by a sender that does not know whether its
--        inbox_send ran: one that comes later is refused
-- Answers {'OK'}: this token has decided · {'LOST'}: another one has
--         {'LATE'}: not started and never will be, the budget was over or the entry had been trimmed
--         {'UNKNOWN'}: there is no such request, or its decision is long past
-- Whoever removes the entry decides. Ages are differences of the server's own clock; hosts' clocks play no part.
--!include _release
--!include _lease_clock
local tombs = {KEYS[4], KEYS[5], KEYS[6]}
--!include _tombstones
redis.call('PEXPIRE', KEYS[1], ARGV[3]) -- the clock alone may be new: nothing else is made for an unknown request
local id, token, what = ARGV[1], ARGV[2], ARGV[4]
if buried(id .. '|' .. token) then
  return {'OK'}
end
if buried(id) then
  if buried(id .. '|late') then
    return {what == 'start' and 'LATE' or 'OK'}
  end
  return {'LOST'}
end
local known = redis.call('HGET', KEYS[3], id)
if not known and what ~= 'forbid' then
  return {'UNKNOWN'}
end
local answer = 'OK'
if known then
  local entry, sent, budget = string.match(known, '^((%d+)%-%d+)|(%d+)$')
  redis.call('HDEL', KEYS[3], id)
  local removed = redis.call('XDEL', KEYS[2], entry)
  if what == 'start' and (removed == 0 or wall - tonumber(sent) > tonumber(budget)) then
    answer, token = 'LATE', 'late'
  end
end
redis.call('SADD', tomb, id, id .. '|' .. token)
for key = 1, 6 do
  redis.call('PEXPIRE', KEYS[key], ARGV[3])
end
return {answer}
