-- The cache of signatures.

-- A segment is a field of the record's hash, named by its number; p<number> is its position where that is another.
local function append(key, bytes, position)
  local number = int(call('HINCRBY', META, 'last_segment', 1))
  call('HSET', key, number, bytes)
  if position then call('HSET', key, 'p' .. number, position) end
end

local function compact(key, bytes, replaces)
  local position
  for _, number in ipairs(replaces) do
    if call('HEXISTS', key, number) == 0 then return end
    local at = call('HGET', key, 'p' .. number) or number
    if not position or tonumber(at) < tonumber(position) then position = at end
  end
  for _, number in ipairs(replaces) do call('HDEL', key, number, 'p' .. number) end
  if bytes ~= '' then append(key, bytes, position) end
end

-- The segments that come next among the arguments.
local function append_args()
  for _ = 1, num() do
    local key, bytes = arg(), arg()
    append(P .. 'sig:' .. key, bytes)
  end
end
