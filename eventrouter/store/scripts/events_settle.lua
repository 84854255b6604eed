-- events_settle: end attempts. Each item is fenced by (inc, attempt) on its own.
-- KEYS 1 clock  2 ev  3 pl  4 lr  5 idx  6 hold  7 reg  8 own of the caller  9-11 tombstones
--      12 queue of ~dest  13… queues of the functions that get events back
-- ARGV 1 inc  2 caller's wall, ms  3 ~dest's name  4 number of items (<= 100), then per item: action, id, attempt and
--        d  done                nothing more
--        o  done with records   number of records, then id, payload of each (<= 100 records in a call)
--        r  retry, counted      KEYS index of the function's queue, delay ms
--        R  retry, counted      as r, then the response to remember
--        b  back, uncounted     KEYS index of the function's queue, delay ms
-- Answers {'OK', now, flags}: one character per item, 1 settled (now, or by an earlier run of this call), 0 fenced.
-- Done removes the event and leaves a tombstone; records become events of ~dest in the same step. Retry is due
-- `delay` from now. Back with delay 0 returns the event to its old place.
--!include _release
--!include _lease_clock
local tombs = {KEYS[9], KEYS[10], KEYS[11]}
--!include _tombstones
--!include _index
--!include _event
local inc, caller_wall, dest, count = ARGV[1], tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])

local items, ids, at = {}, {}, 5
for i = 1, count do
  local item = {action = ARGV[at], attempt = ARGV[at + 2], at = at + 3}
  ids[i] = ARGV[at + 1]
  at = at + 3
  if item.action == 'o' then
    at = at + 1 + 2 * tonumber(ARGV[at])
  elseif item.action == 'R' then
    at = at + 3
  elseif item.action ~= 'd' then
    at = at + 2
  end
  items[i] = item
end
local values = redis.call('HMGET', KEYS[2], unpack(ids))

local may_claim = nil
-- An earlier run of this very call leaves a tombstone, or the event ready under the same owner and attempt.
local function settled_before(id, item, value)
  if may_claim == nil then
    may_claim = redis.call('HGET', KEYS[7], inc) == '1'
  end
  if not value then
    return may_claim and buried(id)
  end
  local mark = 'R|' .. inc .. '|' .. item.attempt .. '|'
  return item.action ~= 'd' and item.action ~= 'o' and string.sub(value, 1, #mark) == mark
end

local function add_record(id, payload, trace)
  if redis.call('HEXISTS', KEYS[2], id) == 1 or buried(id) then
    return
  end
  redis.call('HSET', KEYS[2], id, write_event({
    s = 'R', o = '', a = 0, n = 0, c = 0, d = now, w = math.max(wall, caller_wall), f = dest, q = '', trace = trace}))
  redis.call('HSET', KEYS[3], id, payload)
  redis.call('ZADD', KEYS[12], string.format('%.0f', now), id)
end

local flags, released, ended, kept, touched, seen, recorded = {}, {}, {}, {}, {}, {}, false
for i, id in ipairs(ids) do
  local item, value = items[i], values[i]
  local mark = 'C|' .. inc .. '|' .. item.attempt .. '|'
  if seen[id] or not value or string.sub(value, 1, #mark) ~= mark then
    flags[i] = not seen[id] and settled_before(id, item, value) and '1' or '0'
  else
    flags[i], seen[id] = '1', true
    released[#released + 1] = id
    if item.action == 'd' or item.action == 'o' then
      ended[#ended + 1] = id
    end
    if item.action == 'o' then
      local trace = read_event(value).trace
      for r = 1, tonumber(ARGV[item.at]) do
        add_record(ARGV[item.at + 2 * r - 1], ARGV[item.at + 2 * r], trace)
      end
      recorded = true
    elseif item.action ~= 'd' then
      local e, queue, delay = read_event(value), KEYS[tonumber(ARGV[item.at])], tonumber(ARGV[item.at + 1])
      e.s = 'R'
      if item.action ~= 'b' then
        e.n = e.n + 1
      end
      if item.action ~= 'b' or delay > 0 then
        e.d = now + delay
      end
      if item.action == 'R' then
        redis.call('HSET', KEYS[4], id, ARGV[item.at + 2])
      end
      kept[#kept + 1] = id
      kept[#kept + 1] = write_event(e)
      redis.call('ZADD', queue, string.format('%.0f', e.d), id)
      touched[queue] = e.f
    end
  end
end

if released[1] then
  redis.call('HDEL', KEYS[8], unpack(released))
end
if ended[1] then
  redis.call('HDEL', KEYS[2], unpack(ended))
  redis.call('HDEL', KEYS[3], unpack(ended))
  redis.call('HDEL', KEYS[4], unpack(ended))
  redis.call('SADD', tomb, unpack(ended))
end
if kept[1] then
  redis.call('HSET', KEYS[2], unpack(kept))
end
for queue, fn in pairs(touched) do
  reindex(KEYS[5], KEYS[6], queue, fn)
end
if recorded then
  reindex(KEYS[5], KEYS[6], KEYS[12], dest)
end
return {'OK', now, table.concat(flags)}
