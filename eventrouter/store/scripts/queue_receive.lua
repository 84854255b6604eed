-- queue_receive: take visible messages and hide them.
-- KEYS as in _queue.lua
-- ARGV 1 witness, 2 wall: see _witness   3 nonce: made by the caller, names this receive
--      4 how many at most (10)   5 visibility (ms), -1 for the queue's   6 incarnation of the node that receives for
--      itself, or ''   7 attempt id (FIFO only), or ''   8 how many messages may be held at most
--      9 the queue's ARN
-- Answers {'OK', lease, messages in the outbox, message as in _queue.lua...}
--         | {'EMPTY', lease, messages in the outbox, ms until one becomes visible or -1, the queue's own wait}
--         | {'OVER', lease, messages in the outbox, the queue's own wait}: too many are held
--         | {'DEAD', lease, 0}: the incarnation's messages were returned | {'MISSING', 0}
-- What was received as often as the queue allows goes to the outbox. A FIFO queue gives of each ready group, in
-- turn, its first messages up to one that is still hidden.
-- Harmless to repeat: for 10 s the same nonce gets the same messages, those that nobody took or deleted since, and
-- none if it got none.
--!include _queue
local settings = redis.call(
  'HMGET', Q, 'visibility_ms', 'wait_ms', 'is_fifo', 'max_receive_count', 'dead_letter_target')
if not settings[1] then return {'MISSING', 0} end
--!include _release
--!include _lease_clock
--!include _witness
--!include _queue_leave
local nonce, limit, visibility, owner, attempt = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6], ARGV[7]
if visibility < 0 then visibility = tonumber(settings[1]) end
local fifo, target = settings[3] == '1', settings[5] or ''
local most = target ~= '' and tonumber(settings[4]) or math.huge
if owner ~= '' and redis.call('ZSCORE', DD, '\0' .. owner) then return {'DEAD', now, 0} end
trim(now, agreed)

local taken = {}
local answer = {'OK', now, 0}
local function done()
  if #answer == 3 then
    local first = redis.call('ZRANGE', fifo and GW or V, 0, 0, 'WITHSCORES')[2]
    if fifo and redis.call('ZCARD', GA) > 0 then first = now end
    answer = {'EMPTY', now, 0, first and math.max(first - now, 0) or -1, tonumber(settings[2])}
  end
  if target ~= '' then answer[3] = redis.call('HLEN', OB) end
  return answer
end

local before, holder = redis.call('HGET', RN, nonce), nonce
if before and string.sub(before, 1, 1) == '=' then
  holder = string.sub(before, 2)
  before = redis.call('HGET', RN, holder) or ''
end
if before then
  for id in string.gmatch(before, '[^ ]+') do
    local stored = redis.call('HGET', M, id)
    local record = stored and cjson.decode(stored)
    if record and record.r == holder then answer[#answer + 1] = shown(id, record, holder) end
  end
  return done()
end

-- The messages of an earlier receive with this attempt id, if none was changed since: they are hidden anew.
local earlier = fifo and attempt ~= '' and redis.call('HGET', RN, '\0' .. attempt)
local repeated = earlier and redis.call('HGET', RN, earlier)
if repeated then
  local records, unchanged = {}, true
  for id in string.gmatch(repeated, '[^ ]+') do
    local stored = redis.call('HGET', M, id)
    local record = stored and cjson.decode(stored)
    records[#records + 1] = {id, record}
    unchanged = unchanged and record and record.r == earlier and not record.c
      and tonumber(redis.call('ZSCORE', V, id)) > now
  end
  if unchanged then
    for _, each in ipairs(records) do
      redis.call('ZADD', V, text(now + visibility), each[1])
      answer[#answer + 1] = shown(each[1], each[2], earlier)
    end
    for _, each in ipairs(records) do regroup(each[2].g, now) end
    remember(nonce, '=' .. earlier, now + 10000)
    return done()
  end
end

local held = redis.call('ZCOUNT', V, '(' .. text(now), '+inf') - redis.call('ZCOUNT', D, '(' .. text(now), '+inf')
if held >= tonumber(ARGV[8]) then
  answer = {'OVER', now, 0, tonumber(settings[2])}
  return done()
end

local function take(id)
  local record = cjson.decode(redis.call('HGET', M, id))
  if record.n >= most then
    leave(id, record, target, ARGV[9])
    return
  end
  if record.a then redis.call('ZREM', OW, record.a .. '\0' .. id) end
  record.a = nil
  if owner ~= '' then
    record.a = owner
    redis.call('ZADD', OW, 0, owner .. '\0' .. id)
  end
  record.n, record.r, record.i, record.c, record.f = record.n + 1, nonce, now, nil, record.f or agreed
  redis.call('HSET', M, id, cjson.encode(record))
  redis.call('ZADD', V, text(now + visibility), id)
  taken[#taken + 1] = id
  answer[#answer + 1] = shown(id, record, nonce)
end

local looks = most == math.huge and limit or 100
if fifo then
  wake_groups(now)
  for _, group in ipairs(redis.call('ZRANGE', GA, 0, looks - 1)) do
    if #taken == limit or looks <= 0 then break end
    for _, place in ipairs(first_of(group, looks)) do
      local id = string.sub(place, #group + 23)
      if #taken == limit or tonumber(redis.call('ZSCORE', V, id)) > now then break end
      looks = looks - 1
      take(id)
    end
    redis.call('ZREM', GA, group)
    regroup(group, now)
  end
else
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', V, '-inf', text(now), 'LIMIT', 0, looks)) do
    if #taken == limit then break end
    take(id)
  end
end
local is_attempt = fifo and attempt ~= '' and #taken > 0
remember(nonce, table.concat(taken, ' '), now + (is_attempt and 300000 or 10000))
if is_attempt then remember('\0' .. attempt, nonce, now + 300000) end
return done()
