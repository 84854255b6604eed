-- Passage: reads an entry of the outbox; gives the ARN of where it goes, header, extras and body.
local function read_entry(entry)
  local to, header, extras, from = string.match(entry, '^(%d+) (%d+) (%d+)\n()')
  local second, third = from + to, from + to + header
  local body = third + extras
  return string.sub(entry, from, second - 1), string.sub(entry, second, third - 1),
    string.sub(entry, third, body - 1), string.sub(entry, body)
end
