//! Averages as the recorded server's database prints them.

/// `sum/count` divided, with at least 16 significant digits: `66/12` is `5.5000000000000000`
/// (recorded exchange prc_genquery1; PostgreSQL's rule for the number of digits). Other text, such
/// as that of an average over nothing, gives the empty text.
pub(super) fn quotient(text: &str) -> String {
    let parsed = text.split_once('/').and_then(|(sum, count)| {
        Some((
            sum.parse::<i64>().ok()?,
            count.parse::<u64>().ok().filter(|n| *n > 0)?,
        ))
    });
    let Some((sum, count)) = parsed else {
        return String::new();
    };
    let (negative, sum, count) = (sum < 0, u128::from(sum.unsigned_abs()), u128::from(count));
    let mut whole = sum / count;
    let mut rest = sum % count;
    let mut digits = Vec::new();
    for _ in 0..decimals(sum, count) {
        rest *= 10;
        digits.push(rest / count);
        rest %= count;
    }
    let mut carry = rest * 2 >= count;
    for digit in digits.iter_mut().rev() {
        if !carry {
            break;
        }
        *digit += 1;
        carry = *digit == 10;
        if carry {
            *digit = 0;
        }
    }
    if carry {
        whole += 1;
    }
    let sign = if negative { "-" } else { "" };
    let fraction: String = digits.iter().map(ToString::to_string).collect();
    if fraction.is_empty() {
        format!("{sign}{whole}")
    } else {
        format!("{sign}{whole}.{fraction}")
    }
}

/// Decimals that make 16 significant digits, counted in groups of four.
fn decimals(sum: u128, count: u128) -> usize {
    let (sum_groups, sum_first) = leading_group(sum);
    let (count_groups, count_first) = leading_group(count);
    let mut groups = sum_groups - count_groups;
    if sum_first <= count_first {
        groups -= 1;
    }
    usize::try_from(16 - 4 * groups).unwrap_or(0)
}

/// Groups of four digits behind the first, and the value of the first.
fn leading_group(mut number: u128) -> (i32, u128) {
    let mut groups = 0;
    while number >= 10_000 {
        number /= 10_000;
        groups += 1;
    }
    (groups, number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_recorded_and_rounds() {
        assert_eq!(quotient("66/12"), "5.5000000000000000");
        assert_eq!(quotient("2/3"), "0.66666666666666666667");
        assert_eq!(quotient("-66/12"), "-5.5000000000000000");
        assert_eq!(quotient("300001/2"), "150000.500000000000");
        assert_eq!(quotient("0/2"), "0.00000000000000000000");
        assert_eq!(quotient(""), "");
        assert_eq!(quotient("1/0"), "");
    }
}
