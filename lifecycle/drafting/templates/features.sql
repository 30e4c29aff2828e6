-- what:       what is known of each row before its outcome
-- grain:      $grain
-- parameters: $parameters
${notes}select
$columns
from $table
where $condition
