-- slots_turn: give back slots, then take slots.
-- KEYS 1 held of inc  2 use  3 lim  4 hosts  5 turns
-- ARGV 1 inc  2 seq: number of this turn, growing  3 account limit  4 number of drops, then the tokens to drop,
--        then pairs: function, token to take (drops + takes <= 100)
-- Answers {'OK', flags}: per take one character, 1 granted, A account limit, R reserved limit | {'DEAD'} | {'OLD'}
-- One host has one turn under way at a time. The same seq again grants nothing new: it answers what is held. An
-- older seq does nothing. A token already held counts as granted.
--!include _release
local inc, seq, limit, drops = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
if redis.call('HEXISTS', KEYS[4], inc) == 0 then
  return {'DEAD'}
end
local last = tonumber(redis.call('HGET', KEYS[5], inc) or 0)
if seq < last then
  return {'OLD'}
end
--!include _slots
redis.call('HSET', KEYS[5], inc, ARGV[2])
local change = {}
for i = 5, 4 + drops do
  local fn = redis.call('HGET', KEYS[1], ARGV[i])
  if fn and redis.call('HDEL', KEYS[1], ARGV[i]) == 1 then
    change[fn] = (change[fn] or 0) - 1
  end
end
for fn, by in pairs(change) do
  count_function(KEYS[2], KEYS[3], fn, by)
end
local flags, room, given = {}, {}, {}
for i = 5 + drops, #ARGV, 2 do
  local fn, token = ARGV[i], ARGV[i + 1]
  local reserved = redis.call('HGET', KEYS[3], fn)
  local bound = reserved and fn or pool(fn)
  if not room[bound] then
    if reserved then
      room[bound] = tonumber(reserved) - tonumber(redis.call('HGET', KEYS[2], fn) or 0)
    else
      room[bound] = limit - tonumber(redis.call('HGET', KEYS[3], '_r:' .. bound) or 0)
        - tonumber(redis.call('HGET', KEYS[2], '_u:' .. bound) or 0)
    end
  end
  local flag = reserved and 'R' or 'A'
  if redis.call('HEXISTS', KEYS[1], token) == 1 then
    flag = '1'
  elseif room[bound] > 0 and seq > last then
    flag = '1'
    room[bound] = room[bound] - 1
    given[fn] = (given[fn] or 0) + 1
    redis.call('HSET', KEYS[1], token, fn)
  end
  flags[#flags + 1] = flag
end
for fn, by in pairs(given) do
  count_function(KEYS[2], KEYS[3], fn, by)
end
return {'OK', table.concat(flags)}
