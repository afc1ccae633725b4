-- How every connection of every sync is: one row each. Documented in docs/operating.md. Columns are added at the end only,
-- so that rights and other people's views stay.
CREATE OR REPLACE VIEW health AS
WITH
tried AS (
    SELECT
        sync,
        connection_id,
        count(*) AS objects,
        count(*) FILTER (WHERE failures_in_row > 0) AS failing_objects,
        string_agg(object, ', ' ORDER BY object) FILTER (WHERE failures_in_row > 0) AS failing,
        (array_agg(last_error_type ORDER BY last_error_at DESC NULLS LAST) FILTER (WHERE failures_in_row > 0))[1]
            AS error_type,
        (array_agg(last_error_message ORDER BY last_error_at DESC NULLS LAST) FILTER (WHERE failures_in_row > 0))[1]
            AS error_message,
        max(last_attempt_at) AS last_attempt_at,
        max(last_success_at) AS last_success_at,
        max(last_change_at) AS last_change_at,
        CAST(sum(attempts) AS bigint) AS attempts,
        CAST(sum(successes) AS bigint) AS successes,
        CAST(sum(records) AS bigint) AS records,
        sum(seconds) AS seconds,
        sum(attempts_today) FILTER (WHERE today = (now() AT TIME ZONE 'UTC')::date) AS attempts_today,
        sum(failures_today) FILTER (WHERE today = (now() AT TIME ZONE 'UTC')::date) AS failures_today,
        CAST(sum(records_today) FILTER (WHERE today = (now() AT TIME ZONE 'UTC')::date) AS bigint) AS records_today,
        sum(calls_today) FILTER (WHERE today = (now() AT TIME ZONE 'UTC')::date) AS calls_today
    FROM progress
    GROUP BY sync, connection_id
),
counted AS (
    SELECT
        sync,
        connection_id,
        count(*) AS gaps,
        string_agg(object, ', ' ORDER BY object) AS gap_objects,
        min(message) AS gap_message
    FROM completeness
    WHERE status = 'gap'
    GROUP BY sync, connection_id
),
-- What a vendor said longer than a day ago is of a period that is over, a forecast of six hours ago is none any more.
account AS (
    SELECT
        connection_id,
        used,
        allowed,
        used::double precision / NULLIF(allowed, 0) AS share,
        CASE
            WHEN runs_out_at IS NOT NULL AND seen_at > now() - interval '6 hours' THEN GREATEST(runs_out_at, now())
        END AS ends_at
    FROM budgets
    WHERE allowed IS NOT NULL AND used IS NOT NULL AND seen_at > now() - interval '1 day'
),
held AS (
    SELECT connection_id, held_until, held_reason FROM budgets WHERE held_until > now()
),
-- Whose last success, or connecting, is longer ago than the customer's, the object's or the sync's objective.
old AS (
    SELECT
        due.sync,
        due.connection_id,
        count(*) AS stale_objects,
        string_agg(wanted.object, ', ' ORDER BY wanted.object) AS stale
    FROM due
    JOIN planned ON planned.sync = due.sync
    JOIN connections ON connections.id = due.connection_id
    CROSS JOIN LATERAL jsonb_each_text(
        COALESCE(planned.objectives -> 'own' -> due.customer_id, planned.objectives -> 'all')
    ) AS wanted (object, seconds)
    LEFT JOIN progress ON progress.sync = due.sync AND progress.object = wanted.object
        AND progress.connection_id = due.connection_id
    WHERE COALESCE(progress.last_success_at, connections.connected_at)
        < now() - make_interval(secs => CAST(wanted.seconds AS double precision))
    GROUP BY due.sync, due.connection_id
),
line AS (
    SELECT
        due.sync,
        due.customer_id,
        connections.provider,
        due.connection_id,
        COALESCE(sync_states.state, 'created') AS sync_state,
        COALESCE(sync_states.reason, '') AS state_reason,
        connections.status AS connection_status,
        connections.status_reason,
        due.paused_at,
        due.attempts AS failures_in_row,
        due.failing_since,
        due.error_since,
        LEAST(due.scheduled_at, due.asked_at, due.retry_at) AS next_at,
        due.claim_id IS NOT NULL AS claimed,
        -- Work whose run gives no sign of life any more waits like work that nobody took.
        CASE
            WHEN due.claim_id IS NULL THEN LEAST(due.scheduled_at, due.asked_at, due.retry_at)
            WHEN due.heartbeat_at < now() - interval '15 minutes' THEN due.claimed_due_at
        END AS waiting_since,
        -- By the customer's own schedule, where there is one. Where there is no interval (a cron line, which comes at a
        -- time that means something) an hour stands for it.
        COALESCE(
            CASE
                WHEN planned.own_schedules -> due.customer_id IS NULL THEN planned.every_seconds
                ELSE CAST(planned.own_schedules -> due.customer_id ->> 'every_seconds' AS bigint)
            END,
            3600
        ) AS allowed_seconds,
        COALESCE(due.error_type, tried.error_type) AS error_type,
        COALESCE(NULLIF(due.error_message, ''), tried.error_message, '') AS error_message,
        COALESCE(tried.objects, 0) AS objects,
        COALESCE(tried.failing_objects, 0) AS failing_objects,
        tried.failing,
        COALESCE(counted.gaps, 0) AS gaps,
        counted.gap_objects,
        counted.gap_message,
        tried.last_attempt_at,
        tried.last_success_at,
        tried.last_change_at,
        COALESCE(tried.attempts, 0) AS attempts,
        COALESCE(tried.successes, 0) AS successes,
        COALESCE(tried.records, 0) AS records,
        COALESCE(tried.seconds, 0) AS seconds,
        COALESCE(tried.attempts_today, 0) AS attempts_today,
        COALESCE(tried.failures_today, 0) AS failures_today,
        COALESCE(tried.records_today, 0) AS records_today,
        COALESCE(tried.calls_today, 0) AS calls_today,
        account.used AS api_used,
        account.allowed AS api_allowed,
        account.share AS api_used_ratio,
        account.ends_at AS api_ends_at,
        held.held_until,
        held.held_reason,
        COALESCE(old.stale_objects, 0) AS stale_objects,
        old.stale
    FROM due
    JOIN connections ON connections.id = due.connection_id
    JOIN planned ON planned.sync = due.sync
    LEFT JOIN sync_states ON sync_states.sync = due.sync
    LEFT JOIN tried ON tried.sync = due.sync AND tried.connection_id = due.connection_id
    LEFT JOIN counted ON counted.sync = due.sync AND counted.connection_id = due.connection_id
    LEFT JOIN account ON account.connection_id = due.connection_id
    LEFT JOIN held ON held.connection_id = due.connection_id
    LEFT JOIN old ON old.sync = due.sync AND old.connection_id = due.connection_id
),
-- The first condition that holds, worst first.
judged AS (
    SELECT
        line.*,
        GREATEST(EXTRACT(epoch FROM now() - waiting_since)::double precision, 0) AS late_seconds,
        CASE
            WHEN sync_state = 'archived' THEN 'archived'
            WHEN sync_state = 'paused' THEN 'sync paused'
            WHEN paused_at IS NOT NULL THEN 'customer paused'
            WHEN last_attempt_at IS NULL AND next_at IS NULL AND NOT claimed THEN 'never'
            WHEN connection_status = 'expired' THEN 'expired'
            WHEN connection_status = 'error' THEN 'broken'
            WHEN error_since IS NOT NULL THEN 'given up'
            -- A vendor that asks to wait is no fault, however many objects wait.
            WHEN objects > 0 AND failing_objects = objects AND error_type IS DISTINCT FROM 'rate_limit' THEN 'all fail'
            WHEN failing_objects > 0 THEN 'some fail'
            WHEN failures_in_row > 0 THEN 'fails'
            WHEN gaps > 0 THEN 'gap'
            WHEN api_used_ratio > 0.8 THEN 'quota'
            WHEN api_ends_at < now() + interval '6 hours' THEN 'quota ends'
            WHEN held_until IS NOT NULL AND waiting_since < now() THEN 'held'
            WHEN EXTRACT(epoch FROM now() - waiting_since) > allowed_seconds THEN 'late'
            WHEN stale_objects > 0 THEN 'stale'
            WHEN last_attempt_at IS NULL THEN 'new'
            ELSE 'fine'
        END AS finding
    FROM line
)
SELECT
    sync,
    customer_id,
    provider,
    connection_id,
    CASE
        WHEN finding IN ('archived', 'sync paused', 'customer paused', 'never') THEN 'inactive'
        WHEN finding IN ('expired', 'broken', 'given up', 'all fail') THEN 'error'
        WHEN finding IN ('new', 'fine') THEN 'healthy'
        ELSE 'warning'
    END AS health,
    CASE finding
        WHEN 'archived' THEN concat_ws(': ', 'The sync is archived', NULLIF(state_reason, ''))
        WHEN 'sync paused' THEN concat_ws(': ', 'The sync is paused', NULLIF(state_reason, ''))
        WHEN 'customer paused'
            THEN 'This customer is paused since ' || to_char(paused_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI')
        WHEN 'never' THEN 'It has never run and nothing is planned'
        WHEN 'expired' THEN concat_ws(': ', 'The customer''s tokens no longer work', NULLIF(status_reason, ''))
        WHEN 'broken' THEN concat_ws(': ', 'The connection does not work', NULLIF(status_reason, ''))
        WHEN 'given up' THEN concat_ws(
            ': ',
            'It fails since ' || to_char(COALESCE(failing_since, error_since) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'),
            NULLIF(error_message, '')
        )
        WHEN 'all fail' THEN concat_ws(': ', 'Every object fails', NULLIF(error_message, ''))
        WHEN 'some fail' THEN concat_ws(': ', 'Failing: ' || failing, NULLIF(error_message, ''))
        WHEN 'fails' THEN concat_ws(': ', 'Attempts that failed in a row: ' || failures_in_row, NULLIF(error_message, ''))
        WHEN 'gap' THEN concat_ws(': ', 'Records are missing in ' || gap_objects, NULLIF(gap_message, ''))
        WHEN 'quota' THEN round((100 * api_used_ratio)::numeric) || ' percent of the account''s API calls are used'
        WHEN 'quota ends' THEN 'At the pace of the last hours the account''s API calls end at '
            || to_char(api_ends_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI')
        WHEN 'held' THEN concat_ws(
            ': ',
            'The account rests until ' || to_char(held_until AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'),
            NULLIF(held_reason, '')
        )
        WHEN 'late' THEN 'It should have started ' || round((late_seconds / 60)::numeric) || ' minutes ago'
        WHEN 'stale' THEN 'The last success is older than its objective: ' || stale
        WHEN 'new' THEN 'It has not run yet'
        ELSE ''
    END AS reason,
    CASE
        WHEN finding = 'archived' THEN 'To have it back: sync-pipelines restore ' || sync
        WHEN finding = 'sync paused' THEN 'To let it go on: sync-pipelines resume ' || sync
        WHEN finding = 'customer paused'
            THEN 'To let it go on: sync-pipelines resume ' || sync || ' --customer ' || customer_id
        WHEN finding = 'never' THEN 'Ask for it: sync-pipelines trigger ' || sync || ' --customer ' || customer_id
        WHEN finding = 'gap'
            THEN 'A full read mends it: sync-pipelines trigger ' || sync || ' --customer ' || customer_id || ' --full'
        WHEN finding IN ('quota', 'quota ends', 'held') THEN 'Sync less often, take objects out, or raise the account''s quota'
        WHEN finding = 'late' THEN 'See that Dagster''s daemon runs and the sensor of this sync is on; '
            'SYNC_PIPELINES_CONNECTIONS_AT_ONCE gives room'
        WHEN finding = 'stale' THEN 'Sync more often, or give it another objective; what keeps it says '
            'sync-pipelines runs --customer ' || customer_id
        WHEN finding = 'new' THEN 'Nothing, it starts by itself'
        WHEN finding = 'fine' THEN ''
        WHEN finding = 'expired' OR error_type = 'auth_expired'
            THEN 'The customer reconnects: sync-pipelines connect ' || provider || ' ' || customer_id
        WHEN error_type = 'rate_limit' THEN 'It comes back when the vendor allows; raise the quota, or sync less often'
        WHEN error_type = 'not_found' THEN 'Give the permission, or take the object out of the sync'
        WHEN error_type = 'field_validation' THEN 'Map another field, or change the type'
        WHEN error_type = 'configuration' THEN 'Mend what the message says, then trigger it'
        WHEN error_type = 'destination' THEN 'Mend your database: rights, password, space, a column''s type'
        ELSE 'It is tried again by itself; if it stays, look at sync-pipelines runs --customer ' || customer_id
    END AS advice,
    sync_state,
    connection_status,
    last_attempt_at,
    last_success_at,
    last_change_at,
    next_at,
    NOT claimed AND next_at <= now() AND finding NOT IN ('archived', 'sync paused', 'customer paused', 'expired') AS due,
    claimed,
    CASE
        WHEN finding IN ('archived', 'sync paused', 'customer paused', 'expired') THEN 0
        ELSE COALESCE(late_seconds, 0)
    END AS late_seconds,
    objects,
    failing_objects,
    gaps,
    attempts,
    successes,
    1 - failures_today::double precision / NULLIF(attempts_today, 0) AS success_rate,
    records,
    seconds,
    seconds / NULLIF(successes, 0) AS average_seconds,
    attempts_today,
    failures_today,
    records_today,
    calls_today,
    api_used,
    api_allowed,
    api_used_ratio,
    api_ends_at,
    failures_in_row,
    error_type,
    error_message,
    CASE
        WHEN finding IN ('archived', 'sync paused', 'customer paused', 'expired') THEN 0
        ELSE stale_objects
    END AS stale_objects
FROM judged;

-- The same by sync: the worst of what matters.
CREATE OR REPLACE VIEW sync_health AS
WITH
summed AS (
    SELECT
        sync,
        count(*) AS connections,
        count(*) FILTER (WHERE health = 'healthy') AS healthy,
        count(*) FILTER (WHERE health = 'warning') AS warning,
        count(*) FILTER (WHERE health = 'error') AS error,
        count(*) FILTER (WHERE health = 'inactive') AS inactive,
        max(last_attempt_at) AS last_attempt_at,
        max(last_success_at) AS last_success_at,
        max(last_change_at) AS last_change_at,
        min(next_at) AS next_at,
        count(*) FILTER (WHERE due) AS due,
        count(*) FILTER (WHERE claimed) AS claimed,
        max(late_seconds) AS late_seconds,
        CAST(sum(failing_objects) AS bigint) AS failing_objects,
        CAST(sum(gaps) AS bigint) AS gaps,
        CAST(sum(attempts) AS bigint) AS attempts,
        CAST(sum(successes) AS bigint) AS successes,
        CAST(sum(records) AS bigint) AS records,
        sum(seconds) AS seconds,
        CAST(sum(attempts_today) AS bigint) AS attempts_today,
        CAST(sum(failures_today) AS bigint) AS failures_today,
        CAST(sum(records_today) AS bigint) AS records_today,
        CAST(sum(calls_today) AS bigint) AS calls_today,
        max(api_used_ratio) AS api_used_ratio,
        CAST(sum(stale_objects) AS bigint) AS stale_objects
    FROM health
    GROUP BY sync
),
judged AS (
    SELECT
        planned.sync,
        planned.provider,
        planned.period_seconds,
        COALESCE(sync_states.state, 'created') AS sync_state,
        CASE
            WHEN sync_states.state IN ('paused', 'archived') OR summed.sync IS NULL THEN 'inactive'
            WHEN summed.inactive = summed.connections THEN 'inactive'
            WHEN summed.error + summed.inactive = summed.connections THEN 'error'
            WHEN summed.error + summed.warning > 0 THEN 'warning'
            ELSE 'healthy'
        END AS health,
        CASE
            WHEN sync_states.state IN ('paused', 'archived')
                THEN concat_ws(': ', 'The sync is ' || sync_states.state, NULLIF(sync_states.reason, ''))
            WHEN summed.sync IS NULL THEN 'Nobody is connected to ' || planned.provider
            WHEN summed.inactive = summed.connections THEN 'No connection of it is at work'
            WHEN summed.error + summed.inactive = summed.connections THEN 'No connection of it works'
            WHEN summed.error + summed.warning > 0
                THEN 'Of ' || summed.connections || ' connections ' || concat_ws(
                    ', ',
                    CASE WHEN summed.error > 0 THEN summed.error || ' in error' END,
                    CASE WHEN summed.warning > 0 THEN summed.warning || ' with a warning' END
                )
            ELSE ''
        END AS reason
    FROM planned
    LEFT JOIN sync_states ON sync_states.sync = planned.sync
    LEFT JOIN summed ON summed.sync = planned.sync
)
SELECT
    judged.sync,
    judged.provider,
    judged.health,
    judged.reason,
    judged.sync_state,
    COALESCE(summed.connections, 0) AS connections,
    COALESCE(summed.healthy, 0) AS healthy,
    COALESCE(summed.warning, 0) AS warning,
    COALESCE(summed.error, 0) AS error,
    COALESCE(summed.inactive, 0) AS inactive,
    summed.last_attempt_at,
    summed.last_success_at,
    summed.last_change_at,
    summed.next_at,
    COALESCE(summed.due, 0) AS due,
    COALESCE(summed.claimed, 0) AS claimed,
    COALESCE(summed.late_seconds, 0) AS late_seconds,
    COALESCE(summed.failing_objects, 0) AS failing_objects,
    COALESCE(summed.gaps, 0) AS gaps,
    COALESCE(summed.attempts, 0) AS attempts,
    COALESCE(summed.successes, 0) AS successes,
    1 - summed.failures_today::double precision / NULLIF(summed.attempts_today, 0) AS success_rate,
    COALESCE(summed.records, 0) AS records,
    summed.seconds / NULLIF(summed.successes, 0) AS average_seconds,
    COALESCE(summed.attempts_today, 0) AS attempts_today,
    COALESCE(summed.failures_today, 0) AS failures_today,
    COALESCE(summed.records_today, 0) AS records_today,
    COALESCE(summed.calls_today, 0) AS calls_today,
    summed.api_used_ratio,
    COALESCE(summed.stale_objects, 0) AS stale_objects,
    judged.period_seconds
FROM judged
LEFT JOIN summed ON summed.sync = judged.sync;
