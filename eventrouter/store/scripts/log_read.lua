-- log_read: look at some entries of a log group, and hand out those that may hold what is wanted.
-- KEYS 1 d: stream of entries   2 meta: hash with retention_ms (see log_append)
-- ARGV 1 wall: the caller's wall time   2 entry to begin with, included, or ''   3 how many to look at
--      4 '1' from the newest, '0' from the oldest   5 first and 6 last time wanted, -1 for no bound
--      7.. log streams wanted; none means all
-- Answers {'MORE' | 'END', id of the last entry looked at, {id, log stream, lines}...}
-- Writes nothing. Entries past the group's retention are not handed out even if not yet dropped.
local wanted = {}
for i = 7, #ARGV do wanted[ARGV[i]] = true end
local from, to = tonumber(ARGV[5]), tonumber(ARGV[6])
local t = redis.call('TIME')
local wall = math.min(t[1] * 1000 + math.floor(t[2] / 1000), tonumber(ARGV[1]))
local oldest = string.format('%.0f', math.max(wall - (redis.call('HGET', KEYS[2], 'retention_ms') or 0), 0))

local count, entries = tonumber(ARGV[3]), nil
if ARGV[4] == '1' then
  local newest = ARGV[2]
  if newest == '' then newest = '+' end
  entries = redis.call('XREVRANGE', KEYS[1], newest, oldest, 'COUNT', count)
else
  local first = ARGV[2]
  if first == '' or tonumber(string.match(first, '^%d+')) < tonumber(oldest) then first = oldest end
  entries = redis.call('XRANGE', KEYS[1], first, '+', 'COUNT', count)
end

local answer = {#entries < count and 'END' or 'MORE', #entries > 0 and entries[#entries][1] or '0-0'}
for _, entry in ipairs(entries) do
  local fields = entry[2]
  local stream, first, last = fields[2], tonumber(fields[4]), tonumber(fields[6])
  if (#ARGV < 7 or wanted[stream]) and (from < 0 or last >= from) and (to < 0 or first <= to) then
    answer[#answer + 1] = {entry[1], stream, fields[8]}
  end
end
return answer
