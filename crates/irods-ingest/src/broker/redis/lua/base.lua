-- One call of the broker: ARGV[1] names the operation, ARGV[2] is the time (empty: the server's), the rest are its arguments in
-- order. KEYS[1] is the hash of the deployment; its name less "meta" begins every other key, and all have one hash tag.
--
-- Each operation is a script of its own: the functions that it needs, as `script` picks them by their names, for to define one costs
-- as much as a command. So a function stands at the beginning of a line and ends with the next "end" there.
--
-- Per job: job (hash: what the job is and where it stands), task (hash: number -> payload), ready, delayed, leased (sorted sets), held
-- (hash: number -> place, token, request, worker), seen (hash: number -> expiries, o<number> -> tokens of the leases that were
-- counted there, b<number> -> who began, c<number> -> cursor, k<number> -> which hook,
-- w<number> -> when it became ready, or will), pass and before (hashes of counters: this pass's, and those of the passes before), ledger (hash: path ->
-- record), paths (sorted set, for their order), bound and retrying (hashes: task -> path and back), events (list), profile (hash: revision, bytes).
--
-- A place is the class and 4 digits of shallowness: what ready tasks are ordered by, then by number. Redis undoes nothing: so all
-- that can be refused is refused before the first write. What frees memory writes first by deleting, because a script that has
-- written is not stopped for want of memory any more; exempt() is for what must work all the same.

local call = redis.call
local META = KEYS[1]
local P = string.sub(META, 1, -5)
local NONE = string.rep('\0', 16)

local at = 2
local function arg()
  at = at + 1
  return ARGV[at]
end
local function num()
  return tonumber(arg())
end

local clock = tonumber(ARGV[2])
local function now()
  if not clock then
    local time = call('TIME')
    clock = time[1] * 1000 + math.floor(time[2] / 1000)
  end
  return clock
end

local function int(number)
  return string.format('%.0f', number)
end

local function of(kind, job)
  return P .. kind .. ':' .. job
end

local function exempt()
  call('DEL', P .. 'none')
end

local function event(job, kind, text)
  local key = of('events', job)
  call('RPUSH', key, int(now()) .. ' ' .. kind .. ' ' .. text)
  call('LTRIM', key, -MAX_EVENTS, -1)
end

local function lives(worker)
  local till = call('ZSCORE', P .. 'lives', worker)
  return till and tonumber(till) > now()
end

-- The unfinished jobs, oldest first.
local function unfinished()
  return call('ZRANGE', P .. 'unfinished', 0, -1)
end

local ops = {}
