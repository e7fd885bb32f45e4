-- Leases: handed out, extended, given back, multiplied.

-- Gives back the leases of a request whose answer never arrived: nobody has them.
local function give_back(worker, tokens)
  local lost = {}
  for from = 1, #tokens, 16 do lost[string.sub(tokens, from, from + 15)] = true end
  for _, job in ipairs(unfinished()) do
    local state = call('HGET', of('job', job), 'state')
    for _, number in ipairs(call('ZRANGE', of('leased', job), 0, -1)) do
      local found = call('HGET', of('held', job), number)
      if string.sub(found, 38) == worker and lost[string.sub(found, 6, 21)] then put_back(job, state, number, 'left') end
    end
  end
end

-- From which jobs and queues tasks are wanted.
local function filter_args()
  local filter = { only = arg(), except = {} }
  for _ = 1, num() do filter.except[arg()] = true end
  local count = arg()
  if count ~= '' then
    filter.queues = {}
    for _ = 1, tonumber(count) do filter.queues[arg()] = true end
  end
  return filter
end

local function admits(filter, job)
  return (filter.only == '' or filter.only == job) and not filter.except[job]
end

-- Ready tasks of a class, in order.
local function of_class(job, class, count)
  if count <= 0 then return {} end
  return call('ZRANGEBYSCORE', of('ready', job), class * 10000, class * 10000 + 9999, 'LIMIT', 0, int(count))
end

-- Where a job stands, and what its tasks are shared by.
local function known(job)
  return call('HMGET', of('job', job), 'state', 'turn', 'file_queue', 'path_queue', 'restart_queue', 'max_in_flight', 'files_leased')
end

-- The ready tasks of a job that may be taken, in order, at most max: of the queues that are served, and chunks of files up to the
-- job's bound on those in hand. Where chunks wait because of that, directories wait too if they are many. `v` is what is
-- known of the job.
local function choices(job, v, max, filter)
  local function served(queue)
    return not filter.queues or filter.queues[queue]
  end
  local files, paths, starts = served(v[3]), served(v[4]), served(v[5])
  local cap = tonumber(v[6])
  if files and paths and starts and not cap then return call('ZRANGE', of('ready', job), 0, max - 1) end
  local room = 0
  if files then room = math.huge end
  if files and cap then room = math.max(cap - (tonumber(v[7]) or 0), 0) end
  local found = of_class(job, 0, math.min(max, room))
  local function more(class)
    for _, member in ipairs(of_class(job, class, max - #found)) do found[#found + 1] = member end
  end
  if paths then
    more(1)
    local ready = call('ZCOUNT', of('ready', job), 0, 9999)
    if ready - math.min(room, ready) < MAX_AHEAD then more(2) end
  end
  if starts then more(3) end
  return found
end

-- The ready tasks of each job that is admitted, of the job with the oldest turn first; and the latest turn of all.
local function queues(max, filter)
  local found, latest = {}, 0
  for _, job in ipairs(unfinished()) do
    local v = known(job)
    if v[1] == 'queued' or v[1] == 'running' then
      local turn = tonumber(v[2])
      latest = math.max(latest, turn)
      if admits(filter, job) then
        local members = choices(job, v, max, filter)
        if #members > 0 then
          found[#found + 1] = { job = job, turn = turn, state = v[1], members = members, taken = 0, order = #found }
        end
      end
    end
  end
  table.sort(found, function(a, b)
    if a.turn ~= b.turn then return a.turn < b.turn end
    return a.order < b.order
  end)
  return found, latest
end

-- One task from each job in turn, until there are enough or none are left.
local function pick(found, max, latest)
  local picked, more = {}, true
  while more and #picked < max do
    more = false
    for _, q in ipairs(found) do
      if #picked < max and q.taken < #q.members then
        q.taken = q.taken + 1
        picked[#picked + 1] = { q.job, q.members[q.taken] }
        latest = latest + 1
        q.turn = latest
        more = true
      end
    end
  end
  return picked
end

function ops.lease()
  local worker, max, lease_for, tokens, lost, filter = arg(), num(), num(), arg(), arg(), filter_args()
  if lost ~= '' then give_back(worker, lost) end
  tick()
  if max == 0 then return { 'ok', '0', {}, {} } end
  local found, latest = queues(max, filter)
  local picked = pick(found, max, latest)
  local till = int(now() + lease_for)
  local tasks, specs = {}, {}
  for i, choice in ipairs(picked) do
    local job, member = choice[1], choice[2]
    local place, number = string.sub(member, 1, 5), string.sub(member, 6)
    call('ZREM', of('ready', job), member)
    call('ZADD', of('leased', job), till, number)
    if string.sub(place, 1, 1) == '0' then call('HINCRBY', of('job', job), 'files_leased', 1) end
    call('HSET', of('held', job), number, place .. string.sub(tokens, 16 * i - 15, 16 * i) .. NONE .. worker)
    -- What nobody can have queued (somebody has been at the keys) is handed out as nothing, which its holder accounts for.
    local payload = call('HGET', of('task', job), number) or ''
    if #payload > MAX_PAYLOAD then payload = '' end
    local seen = call('HMGET', of('seen', job), number, 'c' .. number, 'k' .. number, 'w' .. number)
    tasks[i] = { job, number, place, seen[3] or '0', payload, seen[2] or '', seen[1] or '0',
      int(math.max(now() - (tonumber(seen[4]) or now()), 0)) }
  end
  for _, q in ipairs(found) do
    if q.taken > 0 then
      local key = of('job', q.job)
      call('HSET', key, 'turn', int(q.turn))
      if q.state == 'queued' then
        call('HSET', key, 'state', 'running', 'started', int(now()))
        event(q.job, 'pass_started', '')
      end
      specs[#specs + 1] = { q.job, unpack(call('HMGET', key, 'spec', 'pass')) }
    end
  end
  return { 'ok', till, specs, tasks }
end

-- Whether a lease call may find something.
function ops.has_work()
  local filter = filter_args()
  for _, job in ipairs(unfinished()) do
    if admits(filter, job) then
      local v = known(job)
      if v[1] == 'waiting' then
        local due = call('HGET', of('job', job), 'next_pass')
        if not due or tonumber(due) <= now() then return { 'ok', '1' } end
      elseif (v[1] ~= 'stopping' and #choices(job, v, 1, filter) > 0)
        or call('ZCOUNT', of('delayed', job), '-inf', int(now())) > 0
        or call('ZCOUNT', of('leased', job), '-inf', int(now())) > 0 then
        return { 'ok', '1' }
      end
    end
  end
  return { 'ok', '0' }
end

function ops.extend()
  local till = int(now() + num())
  exempt()
  local lost, stopping, state = {}, {}, {}
  for i = 1, num() do
    local job, number, token = arg(), arg(), arg()
    if held(job, number, token) then
      call('ZADD', of('leased', job), till, number)
      if not state[job] then
        state[job] = call('HGET', of('job', job), 'state')
        if state[job] == 'stopping' then stopping[#stopping + 1] = job end
      end
    else
      forgive(job, number, token)
      lost[#lost + 1] = i - 1
    end
  end
  return { 'ok', lost, stopping }
end

function ops.release()
  local job, number, token, delay = arg(), arg(), arg(), num()
  local found = held(job, number, token)
  if not found then return stale(job, number) end
  local state = call('HGET', of('job', job), 'state')
  if state == 'stopping' or delay == 0 then
    put_back(job, state, number, 'left')
  else
    unlease(job, number, found)
    call('ZADD', of('delayed', job), int(now() + delay), string.sub(found, 1, 5) .. number)
    call('HSET', of('seen', job), 'w' .. number, int(now() + delay))
  end
  return { 'ok' }
end

-- That what a task led to is queued, and whether many go before it now.
local function queued(job, place)
  local before = call('ZCOUNT', of('ready', job), '-inf', '(' .. place)
  return { 'ok', before >= MAX_BEFORE and 'crowded' or 'queued' }
end

function ops.spawn()
  local job, number, token, request, cursor = arg(), arg(), arg(), arg(), arg()
  local found = held(job, number, token)
  if not found then return stale(job, number) end
  local place = string.sub(found, 1, 5)
  if string.sub(found, 22, 37) == request then return queued(job, place) end
  if call('HGET', of('job', job), 'state') == 'stopping' then return { 'ok', 'stopping' } end
  call('HSET', of('seen', job), 'c' .. number, cursor)
  queue(job, task_args())
  append_args()
  call('HSET', of('held', job), number, string.sub(found, 1, 21) .. request .. string.sub(found, 38))
  return queued(job, place)
end

function ops.begin()
  local job, number, token, request = arg(), arg(), arg(), arg()
  if not held(job, number, token) then return stale(job, number) end
  local key, field = of('seen', job), 'b' .. number
  local begun = call('HGET', key, field)
  if begun then return { 'ok', begun == request and 'first' or 'again' } end
  exempt()
  call('HSET', key, field, request)
  return { 'ok', 'first' }
end
