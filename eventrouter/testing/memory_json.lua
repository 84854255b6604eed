-- cjson as Redis's scripts have it: `encode` and `decode`. Keys of objects are written in order.
local server = ...
local find, sub, byte, char, concat = string.find, string.sub, string.byte, string.char, table.concat
local DEEPEST = 1000
local null = newproxy()

local ESCAPES = {['"'] = '\\"', ['\\'] = '\\\\', ['/'] = '\\/', ['\b'] = '\\b', ['\f'] = '\\f', ['\n'] = '\\n',
  ['\r'] = '\\r', ['\t'] = '\\t', ['\127'] = '\\u007f'}
for code = 0, 31 do
  ESCAPES[char(code)] = ESCAPES[char(code)] or string.format('\\u%04x', code)
end

local function write_string(text)
  if find(text, '[%c"\\/]') then text = string.gsub(text, '[%c"\\/]', ESCAPES) end
  return '"' .. text .. '"'
end

local function write_number(number)
  if number ~= number or number == math.huge or number == -math.huge then
    error('Cannot serialise number: must not be NaN or Inf', 0)
  end
  return string.format('%.14g', number)
end

-- The length of an array; nil for an object. Holes count as long as they are not the most.
local function length_of(value)
  local longest, count = 0, 0
  for key in next, value do
    if type(key) ~= 'number' or key < 1 or key % 1 ~= 0 then return nil end
    longest, count = math.max(longest, key), count + 1
  end
  if longest > count * 2 and longest > 10 then error('Cannot serialise table: excessively sparse array', 0) end
  return count > 0 and longest or nil
end

local write

local function write_object(value, out, depth)
  local names, of = {}, {}
  for key, item in next, value do
    local name
    if type(key) == 'string' then
      name = key
    elseif type(key) == 'number' then
      name = write_number(key)
    else
      error('Cannot serialise table: table key must be a number or string', 0)
    end
    names[#names + 1], of[name] = name, item
  end
  table.sort(names)
  out[#out + 1] = '{'
  for i = 1, #names do
    out[#out + 1] = (i > 1 and ',' or '') .. write_string(names[i]) .. ':'
    write(of[names[i]], out, depth)
  end
  out[#out + 1] = '}'
end

write = function(value, out, depth)
  local kind = type(value)
  if kind == 'string' then
    out[#out + 1] = write_string(value)
  elseif kind == 'number' then
    out[#out + 1] = write_number(value)
  elseif kind == 'boolean' then
    out[#out + 1] = value and 'true' or 'false'
  elseif kind == 'nil' or value == null then
    out[#out + 1] = 'null'
  elseif kind == 'table' then
    if depth >= DEEPEST then error('Cannot serialise, excessive depth (' .. depth + 1 .. ')', 0) end
    local length = length_of(value)
    if not length then return write_object(value, out, depth + 1) end
    out[#out + 1] = '['
    for i = 1, length do
      if i > 1 then out[#out + 1] = ',' end
      write(value[i], out, depth + 1)
    end
    out[#out + 1] = ']'
  else
    error('Cannot serialise ' .. kind .. ': type not supported', 0)
  end
end

local function encode(...)
  if select('#', ...) ~= 1 then error("bad argument #1 to 'encode' (expected 1 argument)", 0) end
  local out = {}
  write(..., out, 0)
  return concat(out)
end

local function expected(what, at)
  error('Expected ' .. what .. ' at character ' .. at, 0)
end

local function utf8_of(code)
  if code < 0x80 then return char(code) end
  if code < 0x800 then return char(0xC0 + math.floor(code / 0x40), 0x80 + code % 0x40) end
  local last, middle = 0x80 + code % 0x40, 0x80 + math.floor(code / 0x40) % 0x40
  if code < 0x10000 then return char(0xE0 + math.floor(code / 0x1000), middle, last) end
  return char(0xF0 + math.floor(code / 0x40000), 0x80 + math.floor(code / 0x1000) % 0x40, middle, last)
end

local PLAIN = {['"'] = '"', ['\\'] = '\\', ['/'] = '/', b = '\b', f = '\f', n = '\n', r = '\r', t = '\t'}

local function read_code(text, at)
  local digits = string.match(text, '^%x%x%x%x', at) or expected('value but found invalid unicode escape code', at - 2)
  return tonumber(digits, 16), at + 4
end

local function read_escape(text, at)
  local letter = sub(text, at, at)
  if letter ~= 'u' then
    return PLAIN[letter] or expected('value but found invalid escape code', at - 1), at + 1
  end
  local code, after = read_code(text, at + 1)
  if code >= 0xD800 and code < 0xDC00 then
    if sub(text, after, after + 1) ~= '\\u' then expected('value but found invalid unicode escape code', at - 1) end
    local low
    low, after = read_code(text, after + 2)
    if low < 0xDC00 or low > 0xDFFF then expected('value but found invalid unicode escape code', at - 1) end
    code = 0x10000 + (code - 0xD800) * 0x400 + low - 0xDC00
  elseif code >= 0xDC00 and code < 0xE000 then
    expected('value but found invalid unicode escape code', at - 1)
  end
  return utf8_of(code), after
end

-- Reads a string whose opening quote is before `at`.
local function read_string(text, at)
  local stop = find(text, '["\\%z]', at)
  if stop and byte(text, stop) == 34 then return sub(text, at, stop - 1), stop + 1 end
  local out = {}
  while true do
    stop = find(text, '["\\%z]', at)
    if not stop or byte(text, stop) == 0 then expected('value but found unexpected end of string', stop or #text + 1) end
    out[#out + 1] = sub(text, at, stop - 1)
    if byte(text, stop) == 34 then return concat(out), stop + 1 end
    out[#out + 1], at = read_escape(text, stop + 1)
  end
end

local function skip(text, at)
  return find(text, '[^ \t\r\n]', at) or #text + 1
end

local WORDS = {['true'] = true, ['false'] = false, null = null}
local read

local function read_array(text, at, depth)
  local array, size = {}, 0
  at = skip(text, at)
  if byte(text, at) == 93 then return array, at + 1 end
  while true do
    size = size + 1
    array[size], at = read(text, at, depth)
    at = skip(text, at)
    local code = byte(text, at)
    if code == 93 then return array, at + 1 end
    if code ~= 44 then expected('comma or array end but found invalid token', at) end
    at = skip(text, at + 1)
  end
end

local function read_object(text, at, depth)
  local object = {}
  at = skip(text, at)
  if byte(text, at) == 125 then return object, at + 1 end
  while true do
    if byte(text, at) ~= 34 then expected('object key string but found invalid token', at) end
    local name
    name, at = read_string(text, at + 1)
    at = skip(text, at)
    if byte(text, at) ~= 58 then expected('colon but found invalid token', at) end
    object[name], at = read(text, skip(text, at + 1), depth)
    at = skip(text, at)
    local code = byte(text, at)
    if code == 125 then return object, at + 1 end
    if code ~= 44 then expected('comma or object end but found invalid token', at) end
    at = skip(text, at + 1)
  end
end

read = function(text, at, depth)
  local code = byte(text, at)
  if code == 34 then return read_string(text, at + 1) end
  if code == 123 or code == 91 then
    if depth >= DEEPEST then error('Found too many nested data structures (' .. depth + 1 .. ')', 0) end
    if code == 123 then return read_object(text, at + 1, depth + 1) end
    return read_array(text, at + 1, depth + 1)
  end
  local word, after = string.match(text, '^(%l+)()', at)
  if word then
    local value = WORDS[word]
    if value == nil then expected('value but found invalid token', at) end
    return value, after
  end
  local digits, stop = string.match(text, '^(%-?%d[%d.eE+-]*)()', at)
  return digits and tonumber(digits) or expected('value but found invalid token', at), stop
end

local function decode(text)
  if type(text) == 'number' then text = server.text_of(text) end
  if type(text) ~= 'string' then error("bad argument #1 to 'decode' (string expected, got " .. type(text) .. ')', 0) end
  local value, at = read(text, skip(text, 1), 0)
  at = skip(text, at)
  if at <= #text then expected('the end but found invalid token', at) end
  return value
end

server.cjson = {encode = encode, decode = decode, null = null}
