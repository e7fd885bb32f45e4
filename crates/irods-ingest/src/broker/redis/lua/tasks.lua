-- Tasks: queued, held, put back, dropped.

local function make_ready(job, place, number)
  call('ZADD', of('ready', job), tonumber(place), place .. number)
end

-- Queues some tasks (class, depth, payload, delay); answers the number of the first.
local function queue(job, tasks)
  if #tasks == 0 then return nil end
  local last = call('HINCRBY', of('job', job), 'last', #tasks)
  local payloads, ready, since, first = {}, {}, {}, nil
  for i, task in ipairs(tasks) do
    local number = string.format('%013.0f', last - #tasks + i)
    local place = task[1] .. string.format('%04d', MAX_DEPTH - math.min(task[2], MAX_DEPTH))
    first = first or number
    payloads[2 * i - 1], payloads[2 * i] = number, task[3]
    since[2 * i - 1], since[2 * i] = 'w' .. number, int(now() + task[4])
    if task[4] > 0 then
      call('ZADD', of('delayed', job), int(now() + task[4]), place .. number)
    else
      ready[#ready + 1] = tonumber(place)
      ready[#ready + 1] = place .. number
    end
  end
  call('HSET', of('task', job), unpack(payloads))
  call('HSET', of('seen', job), unpack(since))
  if #ready > 0 then call('ZADD', of('ready', job), unpack(ready)) end
  return first
end

-- The tasks that come next among the arguments.
local function task_args()
  local tasks = {}
  for i = 1, num() do tasks[i] = { arg(), num(), arg(), num() } end
  return tasks
end

-- What is known of a lease, if the token is the task's.
local function held(job, number, token)
  local found = call('HGET', of('held', job), number)
  if found and string.sub(found, 6, 21) == token then return found end
end

local function stale(job, number)
  return { 'stale', job, number }
end

local function unknown(job)
  return { 'unknown', job }
end

-- Takes away a lease of which this is known; the task is nowhere then.
local function unlease(job, number, found)
  call('HDEL', of('held', job), number)
  call('ZREM', of('leased', job), number)
  if found and string.sub(found, 1, 1) == '0' then call('HINCRBY', of('job', job), 'files_leased', -1) end
end

-- The ledger's entry, if any, is not being retried by this task any more.
local function unbind(job, number)
  local path = call('HGET', of('bound', job), number)
  if path then
    call('HDEL', of('bound', job), number)
    call('HDEL', of('retrying', job), path)
  end
end

-- Removes a leased task, but leaves what the ledger knows of it.
local function erase(job, number, found)
  unlease(job, number, found)
  call('HDEL', of('task', job), number)
  call('HDEL', of('seen', job), number, 'o' .. number, 'b' .. number, 'c' .. number, 'k' .. number,
    'w' .. number)
end

local function drop(job, number)
  erase(job, number, call('HGET', of('held', job), number))
  unbind(job, number)
end

-- Keeps these fields of a hash.
local function keep(key, fields)
  local kept = {}
  for _, field in ipairs(fields) do
    local value = call('HGET', key, field)
    if value then kept[#kept + 1] = { field, value } end
  end
  call('UNLINK', key)
  for _, pair in ipairs(kept) do
    call('HSET', key, pair[1], pair[2])
  end
  return kept
end

-- Drops what is ready or delayed. A cost in what is leased, not in what is dropped.
local function drop_waiting(job)
  call('UNLINK', of('ready', job), of('delayed', job))
  local numbers = call('ZRANGE', of('leased', job), 0, -1)
  local seen = {}
  for _, number in ipairs(numbers) do
    for _, kind in ipairs({ '', 'o', 'b', 'c', 'k', 'w' }) do seen[#seen + 1] = kind .. number end
  end
  keep(of('task', job), numbers)
  keep(of('seen', job), seen)
  local bound = keep(of('bound', job), numbers)
  call('UNLINK', of('retrying', job))
  for _, pair in ipairs(bound) do
    call('HSET', of('retrying', job), pair[2], pair[1])
  end
end
