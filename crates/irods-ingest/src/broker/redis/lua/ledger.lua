-- The ledger of failures: written by completions, read in pages, queued again by retry. An entry that is being retried is bound to
-- the task that does it; so what becomes of that task decides what becomes of the entry.

local function remove_entry(job, path)
  call('ZREM', of('paths', job), path)
  local number = call('HGET', of('retrying', job), path)
  if number then
    call('HDEL', of('retrying', job), path)
    call('HDEL', of('bound', job), number)
  end
  return call('HDEL', of('ledger', job), path) == 1
end

local function bind(job, path, number)
  call('HSET', of('bound', job), number, path)
  call('HSET', of('retrying', job), path, number)
end

-- Removes the entry that a completed task was the retry of.
local function resolve(job, number)
  local path = call('HGET', of('bound', job), number)
  if path then remove_entry(job, path) end
end

-- Hands the entry of a completed task to the one that tries again, or, if that was dropped, to none.
local function rebind(job, number, retry)
  local path = call('HGET', of('bound', job), number)
  if path then
    unbind(job, number)
    if retry then bind(job, path, retry) end
  end
end

-- A record is nine strings: time, operation, code, its name, message, attempts; class (empty: no retry), depth, payload.
local function record_failures(job, count)
  if count == 0 then return end
  local listed = call('HLEN', of('ledger', job))
  for _ = 1, count do
    local path = arg()
    local record = { int(now()) }
    for i = 2, 9 do record[i] = arg() end
    if remove_entry(job, path) then listed = listed - 1 end
    if listed >= MAX_FAILURES then
      call('HINCRBY', of('job', job), 'not_listed', 1)
    else
      call('HSET', of('ledger', job), path, cmsgpack.pack(record))
      call('ZADD', of('paths', job), 0, path)
      listed = listed + 1
    end
  end
end

function ops.failures()
  local job, from, max = arg(), arg(), num()
  if not exists(job) then return unknown(job) end
  local paths = call('ZRANGEBYLEX', of('paths', job), from, '+', 'LIMIT', 0, max + 1)
  local entries = {}
  for i = 1, math.min(#paths, max) do
    local path = paths[i]
    entries[i] = { path, call('HEXISTS', of('retrying', job), path), cmsgpack.unpack(call('HGET', of('ledger', job), path)) }
  end
  local more = 0
  if #paths > max then more = 1 end
  return { 'ok', more, call('HGET', of('job', job), 'not_listed') or '0', entries }
end

local function below(path, root)
  if string.sub(path, 1, #root) ~= root then return false end
  return #path == #root or string.sub(path, #root + 1, #root + 1) == '/' or string.sub(root, -1) == '/'
end

function ops.retry()
  local job, request, by_path, root, by_code, code = arg(), arg(), arg() == '1', arg(), arg() == '1', arg()
  local c = course(job)
  if not c then return unknown(job) end
  local before = call('HMGET', of('job', job), 'retried', 'retried_queued', 'retried_left')
  local not_listed = call('HGET', of('job', job), 'not_listed') or '0'
  if before[1] == request then return { 'ok', before[2], before[3], not_listed } end
  if c.state == 'stopping' then return { 'stopping', c.name } end
  local queued, left = 0, 0
  for _, path in ipairs(call('ZRANGE', of('paths', job), 0, -1)) do
    if not by_path or below(path, root) then
      local record = cmsgpack.unpack(call('HGET', of('ledger', job), path))
      if not by_code or record[4] == code then
        if record[7] ~= '' and call('HEXISTS', of('retrying', job), path) == 0 then
          bind(job, path, queue(job, { { record[7], tonumber(record[8]), record[9], 0 } }))
          queued = queued + 1
        else
          left = left + 1
        end
      end
    end
  end
  if queued > 0 then
    if c.state ~= 'queued' and c.state ~= 'running' then reopen(job, c.state) end
    call('HSET', of('job', job), 'retried', request, 'retried_queued', queued, 'retried_left', left)
    event(job, 'retried', int(queued))
  end
  return { 'ok', queued, left, not_listed }
end
