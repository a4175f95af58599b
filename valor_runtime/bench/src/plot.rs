//! Pictures of the tables that compare servers: the processor time of a request, each server's beside the first one's.
//! `main` draws those that it has measured, or those of a page that has them. A picture follows the reader's choice of
//! light and dark, and says in words what it shows.

use plotters::{
    prelude::{IntoDrawingArea, IntoFont, PathElement, Rectangle, SVGBackend, TextStyle},
    style::{
        Color, FontStyle, RGBColor, WHITE,
        text_anchor::{HPos, Pos, VPos},
    },
};
use std::{error::Error, fs, io, path::Path};

/// What a table says about the processor time of a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Ratios {
    /// The table's title.
    pub title: String,
    /// Each server, with its ratio to the first one.
    pub bars: Vec<(String, f64)>,
}

/// The first columns of a table that can be drawn.
const COLUMNS: &str = "| server | CPU µs per request | ratio |";

/// The tables of a page, or of what a run has printed.
pub fn tables(page: &str) -> Vec<Ratios> {
    let mut title = "";
    let mut all: Vec<Ratios> = Vec::new();
    let mut within = false;
    for line in page.lines() {
        if let Some(heading) = line.strip_prefix("### ") {
            title = heading;
        }
        if line.starts_with(COLUMNS) {
            within = true;
            all.push(Ratios {
                title: title.to_owned(),
                bars: Vec::new(),
            });
            continue;
        }
        within &= line.starts_with('|');
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if let (true, Some(table), [_, server, _, ratio, ..]) = (within, all.last_mut(), &*cells)
            && let Ok(ratio) = ratio.parse()
        {
            table.bars.push(((*server).to_owned(), ratio));
        }
    }
    all
}

/// Writes a picture of each table, named after its title.
///
/// # Errors
/// If a picture cannot be drawn or written.
pub fn write(folder: &Path, tables: &[Ratios]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for table in tables {
        fs::write(folder.join(file_name(&table.title)), draw(table)?)?;
    }
    Ok(())
}

/// The name of a table's picture: the words of its title.
pub fn file_name(title: &str) -> String {
    let words = title.split(|c: char| !c.is_ascii_alphanumeric());
    let words: Vec<String> = words
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    format!("bench-{}.svg", words.join("-"))
}

/// The colours of Valor's bars, of the others', and of the line at the first one's end. They are readable on light and
/// on dark.
const VALOR: RGBColor = RGBColor(194, 87, 26);
const PEERS: RGBColor = RGBColor(91, 127, 181);
const LINE: RGBColor = RGBColor(128, 128, 128);

/// Colours for both themes. A picture on a page does not know the page's own, only what the reader prefers.
const STYLE: &str = "<style>\
    text{fill:#1f2328}\
    svg>rect:first-of-type{fill:#fff}\
    @media (prefers-color-scheme:dark){\
    text{fill:#e6edf3}\
    svg>rect:first-of-type{fill:#161b22}\
    }</style>";

/// Pixels: the picture's width, the head above the bars, and a row.
const WIDTH: i32 = 720;
const HEAD: i32 = 76;
const ROW: i32 = 28;

/// The picture of a table, as SVG.
///
/// # Errors
/// If the table is empty, or cannot be drawn.
pub fn draw(table: &Ratios) -> io::Result<String> {
    let Some((first, _)) = table.bars.first() else {
        return Err(io::Error::other(format!("{}: an empty table", table.title)));
    };
    let about = format!("CPU time of a request, relative to {first}");
    let mut svg = String::new();
    bars(&mut svg, table, &about).map_err(|error| io::Error::other(error.to_string()))?;
    let bars = table.bars.iter();
    let bars: Vec<String> = bars
        .map(|(name, ratio)| format!("{name} {ratio:.2}"))
        .collect();
    let described = format!(
        "<title>{}</title><desc>{}: {}.</desc>{STYLE}",
        escaped(&table.title),
        escaped(&about),
        escaped(&bars.join("; "))
    );
    // For a reader of the screen, it is one image.
    svg.split_once('>')
        .map(|(tag, rest)| format!("{tag} role=\"img\">\n{described}{rest}"))
        .ok_or_else(|| io::Error::other("what was drawn is no SVG"))
}

fn bars(svg: &mut String, table: &Ratios, about: &str) -> Result<(), Box<dyn Error>> {
    let rows = i32::try_from(table.bars.len())?;
    let size = (
        u32::try_from(WIDTH)?,
        u32::try_from(HEAD + rows * ROW + 12)?,
    );
    let area = SVGBackend::with_string(svg, size).into_drawing_area();
    area.fill(&WHITE)?;
    let text = |size: i32, h: HPos| {
        let style = TextStyle::from(("sans-serif", size).into_font());
        style.pos(Pos::new(h, VPos::Center))
    };
    let bold = ("sans-serif", 21).into_font().style(FontStyle::Bold);
    let bold = TextStyle::from(bold).pos(Pos::new(HPos::Left, VPos::Center));
    area.draw_text(&table.title, &bold, (12, 22))?;
    area.draw_text(about, &text(17, HPos::Left), (12, 48))?;
    // Room for the longest name on the left, and for a number on the right.
    let longest = table
        .bars
        .iter()
        .map(|(name, _)| name.chars().count())
        .max();
    let left = 24 + 8 * i32::try_from(longest.unwrap_or(0))?;
    let most = table
        .bars
        .iter()
        .map(|(_, ratio)| *ratio)
        .fold(0.0, f64::max);
    let unit = f64::from(WIDTH - 64 - left) / most;
    let end = |ratio: f64| left + (ratio * unit).round() as i32;
    for ((name, ratio), top) in table.bars.iter().zip((HEAD..).step_by(ROW as usize)) {
        let middle = top + ROW / 2;
        let color = if name.starts_with("Valor") {
            VALOR
        } else {
            PEERS
        };
        let corners = [(left, top + 4), (end(*ratio), top + ROW - 4)];
        area.draw(&Rectangle::new(corners, color.filled()))?;
        area.draw_text(name, &text(17, HPos::Right), (left - 8, middle))?;
        let at = (end(*ratio) + 6, middle);
        area.draw_text(&format!("{ratio:.2}"), &text(17, HPos::Left), at)?;
    }
    let line = vec![(end(1.0), HEAD - 4), (end(1.0), HEAD + rows * ROW + 4)];
    area.draw(&PathElement::new(line, LINE.stroke_width(1)))?;
    area.present()?;
    Ok(())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book(file: &str) -> String {
        let book = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src");
        fs::read_to_string(book.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
    }

    #[test]
    fn tables_of_a_page_are_read() {
        let page = "### a, 1 <b>\n\n| server | CPU µs per request | ratio | p99 µs | ratio |\n\
                    |---|---:|---:|---:|---:|\n\
                    | hyper | 4.18 | 1.00 | 1 | 1.00 |\n| Valor, native | 5.62 | 1.34 | 1 | 2.00 |\n\n\
                    ### calls\n\n| vlugin | µs per call | ratio |\n|---|---:|---:|\n| a | 1 | 1.00 |\n";
        let bars = vec![
            ("hyper".to_owned(), 1.0),
            ("Valor, native".to_owned(), 1.34),
        ];
        let title = "a, 1 <b>".to_owned();
        let all = tables(page);
        assert_eq!(all, [Ratios { title, bars }]);
        assert_eq!(file_name(&all[0].title), "bench-a-1-b.svg");

        let svg = draw(&all[0]).unwrap();
        assert!(
            svg.contains("role=\"img\">\n<title>a, 1 &lt;b></title>"),
            "{svg}"
        );
        assert!(
            svg.contains("relative to hyper: hyper 1.00; Valor, native 1.34.</desc>"),
            "{svg}"
        );
    }

    /// Every picture in the book shows the table in the book.
    #[test]
    fn the_book_shows_what_its_tables_say() {
        let tables = tables(&book("measurements.md"));
        let page = book("performance.md");
        let shown = page.split("](images/").skip(1);
        let shown: Vec<&str> = shown.filter_map(|rest| rest.split(')').next()).collect();
        assert!(!shown.is_empty());
        for name in shown {
            let table = tables.iter().find(|table| file_name(&table.title) == name);
            let table = table.unwrap_or_else(|| panic!("no table is called as {name}"));
            assert!(
                book(&format!("images/{name}")) == draw(table).unwrap(),
                "{name} is not what the table says; draw it again with `cargo run --profile measure \
                 -p valor_bench -- --from docs/src/measurements.md --plot docs/src/images --only '{}'`",
                table.title
            );
        }
    }
}
