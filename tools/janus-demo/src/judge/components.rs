//! Pixels that touch.

use std::collections::VecDeque;

/// A pixel by its place in the picture, row by row.
pub(super) type PixelIndex = usize;

/// Which pixels of a picture are covered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mask<'a> {
    pub(super) covered: &'a [bool],
    pub(super) width: usize,
}

impl Mask<'_> {
    /// The covered pixels in groups that touch, corners included; in order of their first pixel.
    pub(super) fn components(&self) -> Vec<Vec<PixelIndex>> {
        let mut free = self.covered.to_vec();
        let mut components = Vec::new();
        for first in 0..free.len() {
            if !free[first] {
                continue;
            }
            free[first] = false;
            let mut component = vec![first];
            let mut next = 0;
            while let Some(&pixel) = component.get(next) {
                next += 1;
                for neighbour in neighbours(pixel, self.width, free.len()) {
                    if free[neighbour] {
                        free[neighbour] = false;
                        component.push(neighbour);
                    }
                }
            }
            components.push(component);
        }
        components
    }
}

/// Lets components grow by some pixels into what is nobody's, all at once and never into each other.
pub(super) fn grow(
    components: &[Vec<PixelIndex>],
    width: usize,
    pixels: usize,
    steps: usize,
) -> Vec<Vec<PixelIndex>> {
    let mut grown = components.to_vec();
    let mut taken = vec![false; pixels];
    let mut front = VecDeque::new();
    for (owner, component) in components.iter().enumerate() {
        for &pixel in component {
            taken[pixel] = true;
            front.push_back((pixel, owner, 0));
        }
    }
    while let Some((pixel, owner, step)) = front.pop_front() {
        if step == steps {
            continue;
        }
        for neighbour in neighbours(pixel, width, pixels) {
            if !taken[neighbour] {
                taken[neighbour] = true;
                grown[owner].push(neighbour);
                front.push_back((neighbour, owner, step + 1));
            }
        }
    }
    grown
}

/// The up to eight pixels around one.
fn neighbours(pixel: PixelIndex, width: usize, pixels: usize) -> impl Iterator<Item = PixelIndex> {
    let (x, y) = (pixel % width, pixel / width);
    let height = pixels / width;
    let rows = y.saturating_sub(1)..(y + 2).min(height);
    rows.flat_map(move |row| {
        let columns = x.saturating_sub(1)..(x + 2).min(width);
        columns.map(move |column| row * width + column)
    })
    .filter(move |&neighbour| neighbour != pixel)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn components(rows: &[&str]) -> Vec<usize> {
        let covered: Vec<_> = rows
            .iter()
            .flat_map(|row| row.bytes())
            .map(|b| b == b'#')
            .collect();
        let mask = Mask {
            covered: &covered,
            width: rows[0].len(),
        };
        mask.components().iter().map(Vec::len).collect()
    }

    #[test]
    fn touching_pixels_are_one() {
        assert_eq!(components(&["#..", ".#.", "..#"]), [3]);
        assert_eq!(components(&["#.#", "#.#", "#.#"]), [3, 3]);
        assert_eq!(components(&["###", "#.#", "###"]), [8]);
        // The end of a row does not touch the start of the next.
        assert_eq!(components(&["..#", "...", "#.."]), [1, 1]);
        assert!(components(&["..", ".."]).is_empty());
    }

    #[test]
    fn growing_regions_meet_in_the_middle() {
        let regions = grow(&[vec![0], vec![7]], 8, 8, 5);
        assert_eq!(regions, [vec![0, 1, 2, 3], vec![7, 6, 5, 4]]);
        assert_eq!(grow(&[vec![0]], 8, 8, 2), [[0, 1, 2]]);
    }
}
