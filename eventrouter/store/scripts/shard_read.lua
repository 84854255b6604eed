-- shard_read: read records after an id.
-- KEYS 1 m  2 d
-- ARGV 1 ms and 2 n of the id  3 most records  4 bytes that are enough  5 horizon: records that arrived earlier have
--      expired  6 wall: the caller's, which the horizon was reckoned from
-- Answers {'OK', 1 if closed and nothing follows, 1 if records after the id are lost, ms and n of the newest id,
--          bytes of the largest record ever, id, partition key, data, …} | {'MISSING'}
-- Writes nothing. Steps are as long as the largest record ever allows, so at most one record too many is read.
local m = redis.call('HMGET', KEYS[1], 's', 'ms', 'n', 'big', 'tm', 'tn')
if not m[1] then
  return {'MISSING'}
end
local time = redis.call('TIME')
local wall = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local horizon = tonumber(ARGV[5]) - math.max(0, tonumber(ARGV[6]) - wall)
local ms, n = tonumber(ARGV[1]), tonumber(ARGV[2])
local from = '(' .. ARGV[1] .. '-' .. ARGV[2]
local trimmed = tonumber(m[5] or 0)
local lost = trimmed > ms or (trimmed == ms and tonumber(m[6] or 0) > n)
if ms < horizon then
  local oldest = string.format('%.0f', horizon) .. '-0'
  lost = lost or #redis.call('XRANGE', KEYS[2], from, '(' .. oldest, 'COUNT', 1) > 0
  from = oldest
end
local left, room, big, last = tonumber(ARGV[3]), tonumber(ARGV[4]), math.max(1, tonumber(m[4] or 1)), ''
local answer, size = {'OK', 0, lost and 1 or 0, tonumber(m[2]), tonumber(m[3]), big}, 6
while left > 0 and room > 0 do
  local step = math.min(left, math.max(1, math.floor(room / big)))
  local page = redis.call('XRANGE', KEYS[2], from, '+', 'COUNT', step)
  for i = 1, #page do
    local fields = page[i][2]
    answer[size + 1], answer[size + 2], answer[size + 3] = page[i][1], fields[1], fields[2]
    size = size + 3
    room = room - #fields[1] - #fields[2]
  end
  if #page < step then
    last = nil
    break
  end
  last, left = page[step][1], left - step
  from = '(' .. last
end
if m[1] == 'c' and (not last or last == m[2] .. '-' .. m[3]) then
  answer[2] = 1
end
return answer
