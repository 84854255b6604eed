-- Commands of the in-memory server on sorted sets. Members and scores lie in two arrays, in order, from `first` to
-- `last`; what is put in or taken out moves the shorter side. `of`: member -> score.
local server = ...
local command, get, add, remove, touch = server.command, server.get, server.add, server.remove, server.touch
local fail, refuse, syntax = server.fail, server.refuse, server.syntax
local to_integer, to_float, text_of = server.to_integer, server.to_float, server.text_of

-- The first place whose score and member are not less.
local function place_of(zset, score, member)
  local scores, members = zset.scores, zset.members
  local low, high = zset.first, zset.last + 1
  while low < high do
    local middle = math.floor((low + high) / 2)
    local at = scores[middle]
    if at < score or (at == score and members[middle] < member) then low = middle + 1 else high = middle end
  end
  return low
end

local function insert(zset, member, score)
  local place, members, scores = place_of(zset, score, member), zset.members, zset.scores
  if zset.first > 1 and place - zset.first < zset.last - place then
    for i = zset.first, place - 1 do members[i - 1], scores[i - 1] = members[i], scores[i] end
    zset.first = zset.first - 1
    members[place - 1], scores[place - 1] = member, score
  else
    table.insert(members, place, member)
    table.insert(scores, place, score)
    zset.last = zset.last + 1
  end
  zset.of[member] = score
end

-- Freed places at the front are used again, or given up once they are the most.
local function pack(zset)
  local members, scores, size = {}, {}, 0
  for i = zset.first, zset.last do
    size = size + 1
    members[size], scores[size] = zset.members[i], zset.scores[i]
  end
  zset.members, zset.scores, zset.first, zset.last = members, scores, 1, size
end

local function take(zset, member)
  local place, members, scores = place_of(zset, zset.of[member], member), zset.members, zset.scores
  if place - zset.first < zset.last - place then
    for i = place, zset.first + 1, -1 do members[i], scores[i] = members[i - 1], scores[i - 1] end
    members[zset.first], scores[zset.first] = false, 0
    zset.first = zset.first + 1
  else
    table.remove(members, place)
    table.remove(scores, place)
    zset.last = zset.last - 1
  end
  zset.of[member] = nil
  if zset.first > 64 and zset.first > zset.last - zset.first then pack(zset) end
end

local function size_of(zset)
  return zset and zset.last - zset.first + 1 or 0
end

local OPTIONS = {NX = true, XX = true, GT = true, LT = true, CH = true}

local function read_add(args, count)
  local options, at = {}, 2
  while at <= count do
    local option = string.upper(args[at])
    if option == 'INCR' then refuse('ZADD INCR') end
    if not OPTIONS[option] then break end
    options[option], at = true, at + 1
  end
  local entries = count - at + 1
  if entries < 2 or entries % 2 == 1 then syntax() end
  if options.NX and options.XX then fail('ERR XX and NX options at the same time are not compatible') end
  if (options.GT and (options.NX or options.LT)) or (options.LT and options.NX) then
    fail('ERR GT, LT, and/or NX options at the same time are not compatible')
  end
  local scores = {}
  for i = at, count, 2 do scores[i] = to_float(args[i]) end
  return options, at, scores
end

command('ZADD', 3, nil, function(args, count)
  local options, at, scores = read_add(args, count)
  local key = args[1]
  local zset = get(key, 'zset')
  if not zset then
    if options.XX then return 0 end
    zset = add(key, {kind = 'zset', of = {}, members = {}, scores = {}, first = 1, last = 0})
  end
  local added, moved = 0, 0
  for i = at, count, 2 do
    local score, member = scores[i], args[i + 1]
    local old = zset.of[member]
    if not old then
      if not options.XX then
        insert(zset, member, score)
        added = added + 1
      end
    elseif old ~= score and not options.NX and not (options.GT and score < old) and not (options.LT and score > old) then
      take(zset, member)
      insert(zset, member, score)
      moved = moved + 1
    end
  end
  if added + moved > 0 then touch(key) end
  return options.CH and added + moved or added
end)

local function settle(key, zset)
  if zset.last < zset.first then remove(key) else touch(key) end
end

command('ZREM', 2, nil, function(args, count)
  local zset, taken = get(args[1], 'zset'), 0
  if not zset then return 0 end
  for i = 2, count do
    if zset.of[args[i]] then
      take(zset, args[i])
      taken = taken + 1
    end
  end
  if taken > 0 then settle(args[1], zset) end
  return taken
end)

command('ZSCORE', 2, 2, function(args)
  local zset = get(args[1], 'zset')
  local score = zset and zset.of[args[2]]
  return score and text_of(score) or false
end)

command('ZCARD', 1, 1, function(args)
  return size_of(get(args[1], 'zset'))
end)

command('ZPOPMIN', 1, 2, function(args, count)
  local wanted = count == 2 and to_integer(args[2], 'ERR value is out of range, must be positive') or 1
  if wanted < 0 then fail('ERR value is out of range, must be positive') end
  local zset, popped = get(args[1], 'zset'), {}
  for _ = 1, math.min(wanted, size_of(zset)) do
    local member, score = zset.members[zset.first], zset.scores[zset.first]
    popped[#popped + 1], popped[#popped + 2] = member, text_of(score)
    take(zset, member)
  end
  if #popped > 0 then settle(args[1], zset) end
  return popped
end)

-- Members from place to place, by `step`, with their scores if wanted.
local function listed(zset, from, to, step, with_scores)
  local found, size = {}, 0
  for i = from, to, step do
    size = size + 1
    found[size] = zset.members[i]
    if with_scores then
      size = size + 1
      found[size] = text_of(zset.scores[i])
    end
  end
  return found
end

command('ZRANGE', 3, nil, function(args, count)
  local reversed, with_scores = false, false
  for i = 4, count do
    local option = string.upper(args[i])
    if option == 'REV' then
      reversed = true
    elseif option == 'WITHSCORES' then
      with_scores = true
    elseif option == 'BYSCORE' or option == 'BYLEX' or option == 'LIMIT' then
      refuse('ZRANGE ' .. option)
    else
      syntax()
    end
  end
  local first, last = to_integer(args[2]), to_integer(args[3])
  local zset = get(args[1], 'zset')
  first, last = server.range(first, last, size_of(zset))
  if not zset then return {} end
  if reversed then return listed(zset, zset.last + 1 - first, zset.last + 1 - last, -1, with_scores) end
  return listed(zset, zset.first - 1 + first, zset.first - 1 + last, 1, with_scores)
end)

-- Ranges by score and by member

local function bound(text)
  local is_open = string.sub(text, 1, 1) == '('
  if is_open then text = string.sub(text, 2) end
  return text == '' and 0 or to_float(text, 'ERR min or max is not a float'), is_open
end

-- The first place whose score is not less; or, if `above`, is greater.
local function score_place(zset, score, above)
  local scores, low, high = zset.scores, zset.first, zset.last + 1
  while low < high do
    local middle = math.floor((low + high) / 2)
    local at = scores[middle]
    if at < score or (above and at == score) then low = middle + 1 else high = middle end
  end
  return low
end

local function score_range(key, min, max)
  local low, is_open = bound(min)
  local high, is_closed = bound(max)
  local zset = get(key, 'zset')
  if not zset then return nil, 1, 0 end
  return zset, score_place(zset, low, is_open), score_place(zset, high, not is_closed) - 1
end

-- Reads WITHSCORES and LIMIT; narrows a range of places.
local function options_of(args, count, name)
  local with_scores, offset, most, i = false, 0, -1, 4
  while i <= count do
    local option = string.upper(args[i])
    if option == 'WITHSCORES' and name == 'ZRANGEBYSCORE' then
      with_scores, i = true, i + 1
    elseif option == 'LIMIT' and i + 2 <= count then
      offset, most, i = to_integer(args[i + 1]), to_integer(args[i + 2]), i + 3
    else
      syntax()
    end
  end
  return with_scores, offset, most
end

local function narrowed(zset, from, to, offset, most, with_scores)
  if not zset or offset < 0 then return {} end
  from = from + offset
  if most >= 0 then to = math.min(to, from + most - 1) end
  return listed(zset, from, to, 1, with_scores)
end

command('ZRANGEBYSCORE', 3, nil, function(args, count, name)
  local with_scores, offset, most = options_of(args, count, name)
  local zset, from, to = score_range(args[1], args[2], args[3])
  return narrowed(zset, from, to, offset, most, with_scores)
end)

command('ZCOUNT', 3, 3, function(args)
  local _, from, to = score_range(args[1], args[2], args[3])
  return math.max(0, to - from + 1)
end)

-- The place where the members begin that a bound of a lexical range lets in, or, as its end, those it does not.
local function lex_place(zset, text, is_end)
  if text == '-' then return zset.first end
  if text == '+' then return zset.last + 1 end
  local member, above = string.sub(text, 2), (string.sub(text, 1, 1) == '(') ~= is_end
  local members, low, high = zset.members, zset.first, zset.last + 1
  while low < high do
    local middle = math.floor((low + high) / 2)
    local at = members[middle]
    if at < member or (above and at == member) then low = middle + 1 else high = middle end
  end
  return low
end

local function check_lex(text)
  if text ~= '-' and text ~= '+' and not string.find(text, '^[%[(]') then
    fail('ERR min or max not valid string range item')
  end
end

command('ZRANGEBYLEX', 3, nil, function(args, count, name)
  check_lex(args[2])
  check_lex(args[3])
  local _, offset, most = options_of(args, count, name)
  local zset = get(args[1], 'zset')
  if not zset then return {} end
  return narrowed(zset, lex_place(zset, args[2], false), lex_place(zset, args[3], true) - 1, offset, most, false)
end)
