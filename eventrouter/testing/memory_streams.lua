-- Commands of the in-memory server on streams. Entries {id, fields, ms = , n = } lie in an array from `first` to
-- `last`, in order of their ids. A stream stays when its last entry goes.
local server = ...
local command, get, add, touch = server.command, server.get, server.add, server.touch
local fail, refuse, syntax = server.fail, server.refuse, server.syntax
local to_integer, text_of = server.to_integer, server.text_of

local INVALID = 'ERR Invalid stream ID specified as stream command argument'
local FULL = '18446744073709551615'

-- Reads `ms` or `ms-n`; without n it is `default`.
local function read_id(text, default)
  local ms, n = string.match(text, '^(%d+)%-(%d+)$')
  if not ms then ms, n = string.match(text, '^%d+$'), nil end
  if not ms then fail(INVALID) end
  local function number(digits)
    if digits == FULL then return math.huge end
    if #digits > 20 or (#digits == 20 and digits > FULL) then fail(INVALID) end
    return tonumber(digits) < 2 ^ 53 and tonumber(digits) or refuse('stream ids beyond 2^53')
  end
  return number(ms), n and number(n) or default
end

local function is_less(ms, n, than_ms, than_n)
  return ms < than_ms or (ms == than_ms and n < than_n)
end

-- The first place whose id is not less; or, if `above`, is greater.
local function place_of(stream, ms, n, above)
  local low, high = stream.first, stream.last + 1
  while low < high do
    local middle = math.floor((low + high) / 2)
    local entry = stream.entries[middle]
    if is_less(entry.ms, entry.n, ms, n) or (above and entry.ms == ms and entry.n == n) then
      low = middle + 1
    else
      high = middle
    end
  end
  return low
end

local function size_of(stream)
  return stream and stream.last - stream.first + 1 or 0
end

-- Drops entries from the front.
local function drop(stream, count)
  for i = stream.first, stream.first + count - 1 do stream.entries[i] = false end
  stream.first = stream.first + count
  if stream.first > 64 and stream.first > size_of(stream) then
    local entries = {}
    for i = stream.first, stream.last do entries[#entries + 1] = stream.entries[i] end
    stream.entries, stream.first, stream.last = entries, 1, #entries
  end
end

-- Reads MAXLEN and MINID from `at` on; gives what is to be trimmed and where the arguments go on.
local function read_trim(args, at, is_add)
  local kind = string.upper(args[at] or '')
  if kind ~= 'MAXLEN' and kind ~= 'MINID' then return nil, at end
  local trim = {kind = kind}
  at = at + 1
  if args[at] == '~' or args[at] == '=' then
    trim.is_rough, at = args[at] == '~', at + 1
  end
  if not args[at] then syntax() end
  if kind == 'MAXLEN' then
    trim.most = to_integer(args[at])
    if trim.most < 0 then fail('ERR The MAXLEN argument must be >= 0.') end
  else
    trim.ms, trim.n = read_id(args[at], 0)
  end
  at = at + 1
  if string.upper(args[at] or '') == 'LIMIT' and not is_add then
    if not trim.is_rough then fail('ERR syntax error, LIMIT cannot be used without the special ~ option') end
    trim.limit = to_integer(args[at + 1] or '')
    if trim.limit < 0 then fail('ERR The LIMIT argument must be >= 0.') end
    at = at + 2
  end
  return trim, at
end

-- A rough trim may keep more than is asked for, and need not.
local function trim_stream(stream, trim)
  local surplus
  if trim.kind == 'MAXLEN' then
    surplus = size_of(stream) - trim.most
  else
    surplus = place_of(stream, trim.ms, trim.n, false) - stream.first
  end
  if trim.limit and trim.limit > 0 then surplus = math.min(surplus, trim.limit) end
  surplus = math.max(0, surplus)
  drop(stream, surplus)
  return surplus
end

-- Reads the id of a new entry; nothing for `*`.
local function read_new_id(text)
  if text == '*' then return nil, nil end
  if string.find(text, '^%d+%-%*$') then refuse('XADD with an id such as ' .. text) end
  local ms, n = read_id(text, 0)
  if ms == math.huge or n == math.huge then refuse('stream ids beyond 2^53') end
  if ms == 0 and n == 0 then fail('ERR The ID specified in XADD must be greater than 0-0') end
  return ms, n
end

local function next_id(stream, ms, n)
  local last_ms, last_n = stream and stream.ms or 0, stream and stream.n or 0
  if not ms then
    if server.now > last_ms then return server.now, 0 end
    return last_ms, last_n + 1
  end
  if not is_less(last_ms, last_n, ms, n) then
    fail('ERR The ID specified in XADD is equal or smaller than the target stream top item')
  end
  return ms, n
end

command('XADD', 4, nil, function(args, count)
  if string.upper(args[2]) == 'NOMKSTREAM' then refuse('XADD NOMKSTREAM') end
  local trim, at = read_trim(args, 2, true)
  local fields = {}
  for i = at + 1, count do fields[i - at] = args[i] end
  if #fields == 0 or #fields % 2 == 1 then fail("ERR wrong number of arguments for 'xadd' command") end
  local ms, n = read_new_id(args[at])
  local stream = get(args[1], 'stream')
  ms, n = next_id(stream, ms, n)
  stream = stream or add(args[1], {kind = 'stream', entries = {}, first = 1, last = 0})
  local id = text_of(ms) .. '-' .. text_of(n)
  stream.last = stream.last + 1
  stream.entries[stream.last] = {id, fields, ms = ms, n = n}
  stream.ms, stream.n = ms, n
  if trim then trim_stream(stream, trim) end
  touch(args[1])
  return id
end)

command('XLEN', 1, 1, function(args)
  return size_of(get(args[1], 'stream'))
end)

command('XTRIM', 3, nil, function(args, count)
  local trim, at = read_trim(args, 2, false)
  if not trim or at <= count then syntax() end
  local stream = get(args[1], 'stream')
  local dropped = stream and trim_stream(stream, trim) or 0
  if dropped > 0 then touch(args[1]) end
  return dropped
end)

command('XDEL', 2, nil, function(args, count)
  local stream, ids, deleted = get(args[1], 'stream'), {}, 0
  if not stream then return 0 end
  for i = 2, count do ids[i] = {read_id(args[i], 0)} end
  for i = 2, count do
    local ms, n = ids[i][1], ids[i][2]
    local place = place_of(stream, ms, n, false)
    local entry = stream.entries[place]
    if entry and place <= stream.last and entry.ms == ms and entry.n == n then
      deleted = deleted + 1
      if place == stream.first then
        drop(stream, 1)
      else
        table.remove(stream.entries, place)
        stream.last = stream.last - 1
      end
    end
  end
  if deleted > 0 then touch(args[1]) end
  return deleted
end)

-- The reply's form of entries from place to place: copies, so that scripts can do with them what they like.
local function listed(stream, from, to, step)
  local found = {}
  for i = from, to, step do
    local entry, fields = stream.entries[i], {}
    for f = 1, #entry[2] do fields[f] = entry[2][f] end
    found[#found + 1] = {entry[1], fields}
  end
  return found
end

local function read_bound(text, default, is_end)
  if text == '-' then return 0, 0, false end
  if text == '+' then return math.huge, math.huge, false end
  local is_open = string.sub(text, 1, 1) == '('
  local ms, n = read_id(is_open and string.sub(text, 2) or text, default)
  if is_open and is_end and ms == 0 and n == 0 then fail('ERR invalid end ID for the interval') end
  if is_open and not is_end and ms == math.huge and n == math.huge then
    fail('ERR invalid start ID for the interval')
  end
  return ms, n, is_open
end

local function range(args, count, min, max, is_reversed)
  local low_ms, low_n, low_open = read_bound(min, 0, false)
  local high_ms, high_n, high_open = read_bound(max, math.huge, true)
  local most = -1
  if count > 3 then
    if count ~= 5 or string.upper(args[4]) ~= 'COUNT' then syntax() end
    most = to_integer(args[5])
    if most < 0 then most = 0 end
  end
  local stream = get(args[1], 'stream')
  if not stream then return {} end
  if most == 0 then return false end
  local from = place_of(stream, low_ms, low_n, low_open)
  local to = place_of(stream, high_ms, high_n, not high_open) - 1
  if is_reversed then return listed(stream, to, most < 0 and from or math.max(from, to - most + 1), -1) end
  return listed(stream, from, most < 0 and to or math.min(to, from + most - 1), 1)
end

command('XRANGE', 3, nil, function(args, count)
  return range(args, count, args[2], args[3], false)
end)

command('XREVRANGE', 3, nil, function(args, count)
  return range(args, count, args[3], args[2], true)
end)

local function read_options(args, count)
  local most, block, at = nil, nil, 1
  while at <= count do
    local option = string.upper(args[at])
    if option == 'STREAMS' then return most, block, at + 1 end
    if option == 'COUNT' then
      most = to_integer(args[at + 1] or '')
    elseif option == 'BLOCK' then
      block = to_integer(args[at + 1] or '', 'ERR timeout is not an integer or out of range')
      if block < 0 then fail('ERR timeout is negative') end
    else
      syntax()
    end
    at = at + 2
  end
  return syntax()
end

command('XREAD', 3, nil, function(args, count)
  local most, block, at = read_options(args, count)
  local streams = (count - at + 1) / 2
  if streams < 1 or streams % 1 ~= 0 then
    fail("ERR Unbalanced 'xread' list of streams: for each stream key an ID or '$' must be specified.")
  end
  local found, keys = {}, {}
  for i = at, at + streams - 1 do
    local id = args[i + streams]
    if id == '$' or id == '+' then refuse('XREAD after ' .. id) end
    local stream = get(args[i], 'stream')
    local ms, n = read_id(id, 0)
    keys[#keys + 1] = args[i]
    if stream then
      local from = place_of(stream, ms, n, true)
      local to = most and most > 0 and math.min(stream.last, from + most - 1) or stream.last
      if from <= to then found[#found + 1] = {args[i], listed(stream, from, to, 1)} end
    end
  end
  if #found > 0 then return found end
  if block then server.waits_on, server.waits_ms = keys, block end
  return false
end)
