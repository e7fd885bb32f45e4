-- The completion of a task.

-- The latest completions (65,536 and some), so that one that is repeated because its answer was lost is told that it is done.
local function remember(request)
  if call('RPUSH', P .. 'done', request) >= 66560 then call('LTRIM', P .. 'done', -65536, -1) end
end

function ops.complete()
  local job, number, token, request = arg(), arg(), arg(), arg()
  local found = held(job, number, token)
  if not found then
    if call('LPOS', P .. 'done', request) then return { 'ok' } end
    return stale(job, number)
  end
  local ending, why, children = arg(), arg(), task_args()
  local goes_on = call('HGET', of('job', job), 'state') ~= 'stopping' and ending == ''
  -- Before anything is deleted: a full Redis refuses them, and so the completion.
  if goes_on then queue(job, children) end
  local was_pre_job = string.sub(found, 1, 1) == '3' and call('HGET', of('seen', job), 'k' .. number) == '1'
  erase(job, number, found)
  remember(request)
  for _ = 1, num() do
    local field, by = arg(), arg()
    add(of('pass', job), field, by)
  end
  append_args()
  for _ = 1, num() do
    local key, bytes, replaces = arg(), arg(), {}
    for i = 1, num() do replaces[i] = arg() end
    compact(P .. 'sig:' .. key, bytes, replaces)
  end
  local retries = task_args()
  local retry
  if goes_on then retry = queue(job, retries) end
  if #retries == 0 then
    resolve(job, number)
  else
    rebind(job, number, retry)
  end
  record_failures(job, num())
  if ending ~= '' then
    fatal(course(job), ending, why)
  elseif goes_on and was_pre_job then
    queue_first(job)
  end
  settle(job)
  return { 'ok' }
end
